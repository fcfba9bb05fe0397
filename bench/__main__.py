"""Measures the interceptor beside its peers, and writes docs/performance.md: `make bench`.

    python -m bench --quick     one round with few calls; shows the page, and writes nothing

Every round measures each workload each way, one after another, so that whatever else the machine
does falls on all of them alike. A proxy is started afresh for each measurement, and what it saw is
held against what was sent.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from bench import audit, growth, peers, plot, report, startup, texts, tools, usage, ways
from bench.report import Measurement
from bench.workloads import ANEW, BUSY, CROWD, LARGE, LONE, STREAM, Workload, of_go
from mitm import pki
from mitm.errors import UserError

DOCS = Path(__file__).parent.parent / "docs"


class Scope(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: of all ways.
        divisor: of the calls of each workload.
        memory: after how many calls memory is asked for.
        crowds: numbers of connections.
        crowd_calls: calls for each of these.
        resident: connections around which memory is looked at.
        audits: rounds of audits.
    """

    rounds: int
    divisor: int
    memory: tuple[int, ...]
    crowds: tuple[int, ...]
    crowd_calls: int
    resident: tuple[int, ...]
    audits: int


FULL = Scope(5, 1, (10_000, 1_000_000), (1, 10, 100, 1_000), 3_000, (1_000, 5_000), 2)
QUICK = Scope(1, 10, (1_000, 3_000), (1, 100), 500, (50,), 0)

# A workload, and the ways that it takes.
Plan = list[tuple[Workload, list[ways.Way]]]


def main() -> int:
    """Measure and write the page; the exit code."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the interceptor.")
    parser.add_argument("--quick", action="store_true", help="few calls; write nothing")
    scope = QUICK if (quick := parser.parse_args().quick) else FULL
    try:
        if not usage.available():
            raise UserError("the CPU time of a process is read from /proc, which only Linux has")
        tools.find()
        with tempfile.TemporaryDirectory(prefix="mitm-demo-bench-") as directory:
            files = ways.Files(Path(directory))
            authorities = pki.Authorities(["localhost", tools.LOOPBACK])
            pki.write_lab(files.directory, authorities, overwrite=True)
            plan, absent, versions = planned(files)
            results = measure(files, plan, absent, scope)
        audited = audit.section(audit.measure(scope.audits)) if scope.audits else []
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = report.page(results, report.machine(versions), audited)
    if not quick:
        (DOCS / "performance.md").write_text(text)
        (DOCS / "performance.svg").write_text(plot.picture(results))
    print(text)
    return 0


def planned(files: ways.Files) -> tuple[Plan, dict[str, str], list[str]]:
    """What is measured here, why other ways are not, and versions that the system does not know."""
    absent: dict[str, str] = {}
    versions: list[str] = []
    own = [way for way in ways.OWN if "--quiet" not in way.name or ways.has_option("--quiet")]
    for way in ways.OWN:
        if way not in own:
            absent[way.name] = "as `mitm-demo proxy` has no such option"
    compared = []
    if peers.haproxy():
        compared.append(ways.HAPROXY)
        versions.append(peers.haproxy_version())
    else:
        absent[ways.HAPROXY.name] = "which is not installed: apt install haproxy"
    compared.append(ways.NGHTTPX)
    try:
        mitmdump = peers.mitmdump()
        compared += ways.mitmproxy_ways(mitmdump)
        versions.append(peers.mitmproxy_version(mitmdump))
    except UserError as error:
        absent["mitmdump"] = str(error)
    compared = _that_work(BUSY, compared, absent, files)
    all_ways = [ways.STRAIGHT, *own, *compared]
    few = [way for way in all_ways if way.name in ways.FEW]
    plan: Plan = [(BUSY, all_ways), (LONE, all_ways), (LARGE, few), (STREAM, few)]
    plan += [(ANEW, all_ways), (CROWD, few)]
    return plan + _plan_of_go(own, absent, files), absent, versions


def _plan_of_go(own: Sequence[ways.Way], absent: dict[str, str], files: ways.Files) -> Plan:
    """What needs a server that answers with gRPC's content type."""
    try:
        workload = of_go(peers.echo())
    except UserError as error:
        absent["the server in Go, and with it grpc-dump"] = str(error)
        return []
    compared: list[ways.Way] = []
    try:
        compared = [ways.grpc_dump_way(peers.grpc_dump())]
        compared = _that_work(workload, compared, absent, files)
    except UserError as error:
        absent[ways.GRPC_DUMP] = str(error)
    some = [way for way in own if way in (ways.SILENT, ways.FILE, ways.QUIET)]
    return [(workload, [ways.STRAIGHT, *some, *compared])]


def _that_work(
    workload: Workload, compared: list[ways.Way], absent: dict[str, str], files: ways.Files
) -> list[ways.Way]:
    """The peers through which calls succeed here; of the others it is noted why they are absent."""
    work = []
    for way in compared:
        try:
            one(workload.share(workload.calls), way, files)
            work.append(way)
        except UserError as error:
            absent[way.name] = f"through which no call succeeds here: {str(error)[:200]}"
    return work


def measure(files: ways.Files, plan: Plan, absent: dict[str, str], scope: Scope) -> report.Results:
    """Play all rounds."""
    started, load_before = datetime.now(UTC), os.getloadavg()[0]
    calls: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    crowds: dict[int, list[float]] = defaultdict(list)
    starts: dict[str, list[float]] = defaultdict(list)
    guessed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    certificates, demo = [], []
    for number in range(1, scope.rounds + 1):
        for workload, compared in plan:
            for way in compared:
                measured = _one_at_last(workload.share(scope.divisor), way, files)
                calls[workload.name, way.name].append(measured)
                _say(number, f"{workload.name}, {way.name}: {measured}")
        for connections in scope.crowds:
            crowds[connections].append(growth.cpu_ms(files, connections, scope.crowd_calls))
            _say(number, f"{connections} connections: {crowds[connections][-1]:.0f} ms for 1,000")
        for command in startup.COMMANDS:
            starts[command].append(startup.cpu_seconds(command))
            _say(number, f"mitm-demo {command}: {starts[command][-1]:.2f} s of CPU")
        for text, both in texts.ratios().items():
            guessed[text].append(both)
        certificates.append(audit.certificate_ms())
        _say(number, f"audit: {certificates[-1]:.1f} ms of CPU a certificate")
        demo.append(startup.demo())
        _say(number, f"run {startup.DEMO}: {demo[-1]:.2f} s")
    memory = growth.memory(files, scope.memory)
    resident = {connections: growth.resident(files, connections) for connections in scope.resident}
    return report.Results(
        started=started,
        load=(load_before, os.getloadavg()[0]),
        rounds=scope.rounds,
        workloads=[workload for workload, _ in plan],
        ways={workload.name: [way.name for way in compared] for workload, compared in plan},
        decodes={way.name: way.decodes for _, compared in plan for way in compared},
        absent=absent,
        calls=calls,
        memory=dict(zip(scope.memory, memory, strict=True)),
        resident=resident,
        crowds=crowds,
        starts=starts,
        texts=guessed,
        certificate_ms=certificates,
        demo=startup.DEMO,
        demo_seconds=demo,
    )


def _say(number: int, text: str) -> None:
    print(f"round {number}, {text}", file=sys.stderr, flush=True)


def _one_at_last(workload: Workload, way: ways.Way, files: ways.Files) -> Measurement:
    """Measure; once more if it goes wrong, as the machine may have been busy elsewhere."""
    try:
        return one(workload, way, files)
    except UserError as error:
        print(f"bench: {workload.name}, {way.name}: once more, as {error}", file=sys.stderr)
        return one(workload, way, files)


def one(workload: Workload, way: ways.Way, files: ways.Files) -> Measurement:
    """Measure one workload one way."""
    workload = workload.share(way.slow)
    with tools.server(workload, *files.chain("server"), files.served) as server:
        if way.start is None:
            return _measurement(workload, tools.load(server, workload, files.directory))
        with way.start(server, workload, files) as proxy:
            before = usage.cpu_seconds(proxy.pid)
            load = tools.load(proxy.port, workload, files.directory)
            # What it writes after the last call belongs to the calls.
            ways.settle(proxy.pid)
            spent = usage.cpu_seconds(proxy.pid) - before
            peak = usage.peak_mib(proxy.pid)
    cpu_ms = 1e6 * spent / workload.units
    return _measurement(workload, load)._replace(cpu_ms=cpu_ms, peak_mib=peak)


def _measurement(workload: Workload, load: tools.Load) -> Measurement:
    latencies = load.latencies
    p99 = (
        quantiles(latencies, n=100, method="inclusive")[98] if len(latencies) > 1 else latencies[0]
    )
    return Measurement(
        workload.units / load.seconds,
        median(latencies),
        p99,
        delayed_acks=load.delayed_acks / workload.calls,
    )


if __name__ == "__main__":
    sys.exit(main())
