"""Measures the interceptor and writes docs/performance.md: `make bench`.

Every round measures each workload each way, one after another, so that whatever else the machine
does falls on all of them alike. An interceptor is started afresh for each measurement, and what it
saw is held against what was sent.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench import audit, report, tools
from bench.report import Measurement
from bench.tools import Workload
from mitm import pki
from mitm.errors import UserError

PROC = Path("/proc/self/stat")
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"

ROUNDS = 7
WORKLOADS = (Workload(4, 32, 16_000), Workload(1, 1, 3_000))
DEMO = "skip-verify"

# The ways that calls take to the server.
STRAIGHT = "straight to the server"
SILENT = "interceptor, no log"
LOGGING = "interceptor, JSON lines"
WAYS = (STRAIGHT, SILENT, LOGGING)

# The interceptor must have seen each of these once a call.
PARTS = ("request", "client message", "response", "server message", "trailers")


class Files(NamedTuple):
    """What server, interceptor and load generator read and write."""

    directory: Path

    @property
    def body(self) -> Path:
        return self.directory / "body"

    def chain(self, whose: str) -> tuple[Path, Path]:
        return self.directory / f"{whose}.pem", self.directory / f"{whose}.key"


def main() -> int:
    """Measure and write the page; the exit code."""
    try:
        if not PROC.exists():
            raise UserError("the CPU time of a process is read from /proc, which only Linux has")
        tools.find()
        with tempfile.TemporaryDirectory(prefix="mitm-demo-bench-") as directory:
            results = measure(Files(Path(directory)))
        audited = audit.section(audit.measure())
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = report.page(results, report.machine(), audited)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    print(text)
    return 0


def measure(files: Files) -> report.Results:
    """Play all rounds."""
    started, load_before = datetime.now(UTC), os.getloadavg()[0]
    pki.write_lab(files.directory, pki.Authorities(["localhost", tools.LOOPBACK]), overwrite=True)
    files.body.write_bytes(tools.BODY)
    calls: dict[tuple[Workload, str], list[Measurement]] = defaultdict(list)
    demo = []
    for number in range(1, ROUNDS + 1):
        for workload in WORKLOADS:
            for way in WAYS:
                measured = one(workload, way, files)
                calls[workload, way].append(measured)
                print(f"round {number}/{ROUNDS}, {workload}, {way}: {measured}", file=sys.stderr)
        demo.append(run_demo())
        print(f"round {number}/{ROUNDS}, run {DEMO}: {demo[-1]:.2f} s", file=sys.stderr)
    return report.Results(
        started=started,
        load=(load_before, os.getloadavg()[0]),
        rounds=ROUNDS,
        workloads=WORKLOADS,
        straight=STRAIGHT,
        intercepted=(SILENT, LOGGING),
        calls=calls,
        demo=DEMO,
        demo_seconds=demo,
    )


def one(workload: Workload, way: str, files: Files) -> Measurement:
    """Measure one workload one way."""
    with tools.echo_server(*files.chain("server")) as server:
        if way == STRAIGHT:
            return Measurement(tools.load(server, workload, files.body))
        log = files.directory / "events.jsonl" if way == LOGGING else None
        with interceptor(server, workload, files, log) as (pid, port):
            before = cpu_seconds(pid)
            rate = tools.load(port, workload, files.body)
            spent = cpu_seconds(pid) - before
        return Measurement(rate, 1000 * spent / workload.calls)


@contextmanager
def interceptor(
    server: int, workload: Workload, files: Files, log: Path | None
) -> Iterator[tuple[int, int]]:
    """Run an interceptor in a process of its own; the values are its process id and port.

    Raises:
        UserError: at its end, if it has not read all of the workload.
    """
    command = [sys.executable, "-m", "bench.interceptor", str(server)]
    command += map(str, files.chain("attacker"))
    if log:
        command.append(str(log))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.pid, int(process.stdout.readline())
            process.stdin.close()
            seen = json.loads(process.stdout.read())
        finally:
            process.terminate()
    expected = dict.fromkeys(PARTS, workload.calls) | {
        "server over TLSv1.3 and h2": workload.connections,
        "lost": 0,
    }
    if not expected.items() <= seen.items() or "ParseFailed" in seen:
        raise UserError(f"the interceptor should have seen {expected}, and saw {seen}")


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, in user and kernel mode (proc(5), stat)."""
    # The second field, the program's name, may hold spaces; 14 and 15 are utime and stime.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
