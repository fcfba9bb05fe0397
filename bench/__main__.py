"""Measures the interceptor beside its peers, and writes docs/performance.md: `make bench`.

    python -m bench --quick     one round with few calls; shows the page, and writes nothing

Every round measures each workload each way, one after another, so that whatever else the machine
does falls on all of them alike. A proxy is started afresh for each measurement, and what the
interceptor saw is held against what was sent.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from bench import audit, growth, peers, plot, report, tools, usage, ways
from bench.report import Measurement
from bench.workloads import WORKLOADS, Workload
from mitm import pki
from mitm.errors import UserError

DOCS = Path(__file__).parent.parent / "docs"
DEMO = "skip-verify"


class Scope(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: of all ways, at the fewest and at the most.
        begin_limit: seconds after which no further round is begun.
        divisor: of the calls of each workload.
        memory: after how many calls memory is asked for.
        crowds: numbers of connections.
        crowd_calls: calls for each of these.
        audits: rounds of audits.
    """

    rounds: tuple[int, int]
    begin_limit: float
    divisor: int
    memory: tuple[int, ...]
    crowds: tuple[int, ...]
    crowd_calls: int
    audits: int


FULL = Scope((2, 5), 210, 1, (10_000, 1_000_000), (1, 10, 100, 1_000), 3_000, 2)
QUICK = Scope((1, 1), 0, 5, (5_000, 20_000), (1, 100), 1_000, 0)


def main() -> int:
    """Measure and write the page; the exit code."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the interceptor.")
    parser.add_argument("--quick", action="store_true", help="few calls; write nothing")
    scope = QUICK if (quick := parser.parse_args().quick) else FULL
    try:
        if not usage.available():
            raise UserError("the CPU time of a process is read from /proc, which only Linux has")
        tools.find()
        compared, absent, versions = _peers()
        with tempfile.TemporaryDirectory(prefix="mitm-demo-bench-") as directory:
            files = ways.Files(Path(directory))
            results = measure(files, [ways.STRAIGHT, *ways.OWN, *compared], absent, scope)
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


def _peers() -> tuple[list[ways.Way], dict[str, str], list[str]]:
    """The peers that are here, why others are not, and versions that the system does not know."""
    # grpc-go closes a call whose answer is of no type of gRPC's.
    absent = {
        "grpc-dump": "which needs `content-type: application/grpc` of a server: not nghttpd's"
    }
    try:
        mitmdump = peers.mitmdump()
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return [ways.NGHTTPX], absent | {ways.MITMPROXY: "which could not be installed"}, []
    version = peers.mitmproxy_version(mitmdump)
    return [ways.NGHTTPX, ways.mitmproxy_way(mitmdump)], absent, [version]


def measure(
    files: ways.Files, compared: list[ways.Way], absent: dict[str, str], scope: Scope
) -> report.Results:
    """Play all rounds."""
    started, load_before = datetime.now(UTC), os.getloadavg()[0]
    pki.write_lab(files.directory, pki.Authorities(["localhost", tools.LOOPBACK]), overwrite=True)
    calls: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    crowds: dict[int, list[float]] = defaultdict(list)
    demo = []
    began = time.monotonic()
    fewest, most = scope.rounds
    for number in range(1, most + 1):
        if number > fewest and time.monotonic() - began > scope.begin_limit:
            break
        for workload in WORKLOADS:
            for way in compared:
                measured = one(workload.share(scope.divisor), way, files)
                calls[workload.name, way.name].append(measured)
                _say(number, f"{workload.name}, {way.name}: {measured}")
        for connections in scope.crowds:
            crowds[connections].append(growth.cpu_ms(files, connections, scope.crowd_calls))
            _say(number, f"{connections} connections: {crowds[connections][-1]:.0f} ms for 1,000")
        demo.append(run_demo())
        _say(number, f"run {DEMO}: {demo[-1]:.2f} s")
    memory = growth.memory(files, scope.memory)
    return report.Results(
        started=started,
        load=(load_before, os.getloadavg()[0]),
        rounds=len(demo),
        workloads=WORKLOADS,
        ways=[way.name for way in compared],
        absent=absent,
        calls=calls,
        memory=dict(zip(scope.memory, memory, strict=True)),
        crowds=crowds,
        demo=DEMO,
        demo_seconds=demo,
    )


def _say(number: int, text: str) -> None:
    print(f"round {number}, {text}", file=sys.stderr)


def one(workload: Workload, way: ways.Way, files: ways.Files) -> Measurement:
    """Measure one workload one way."""
    workload = workload.share(way.slow)
    with tools.server(workload, *files.chain("server"), files.served) as server:
        if way.start is None:
            return _measurement(workload, tools.load(server, workload, files.directory))
        with way.start(server, workload, files) as proxy:
            before = usage.cpu_seconds(proxy.pid)
            load = tools.load(proxy.port, workload, files.directory)
            spent = usage.cpu_seconds(proxy.pid) - before
            peak = usage.peak_mib(proxy.pid)
    cpu_ms = 1e6 * spent / workload.units
    return _measurement(workload, load)._replace(cpu_ms=cpu_ms, peak_mib=peak)


def _measurement(workload: Workload, load: tools.Load) -> Measurement:
    p99 = quantiles(load.latencies, n=100, method="inclusive")[98]
    return Measurement(workload.units / load.seconds, median(load.latencies), p99)


def run_demo() -> float:
    """Run the demonstration as a user would; seconds of wall time."""
    command = [str(Path(sys.executable).with_name("mitm-demo")), "run", DEMO]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    spent = time.monotonic() - start
    if done.returncode:
        raise UserError(f"mitm-demo run {DEMO} ended with {done.returncode}: {done.stderr}")
    return spent


if __name__ == "__main__":
    sys.exit(main())
