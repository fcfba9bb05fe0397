"""Measures the audit: forging, a command that takes a while to start, and a client in process.

    python -m bench.audit

prints the section that `make bench` writes into docs/performance.md.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import grpc

from bench import stacks
from bench.stacks import Stack
from mitm import audit, content, pki
from mitm.errors import UserError

ROUNDS = 3
FORGINGS = 200

# To reach: milliseconds for a chain, how much longer a command's audit may take than the runs of
# its client, and seconds for the whole catalogue in process.
FORGE_GOAL = 1.0
OVERHEAD_GOAL = 1.3
IN_PROCESS_GOAL = 3.0

# What most clients have: a leaf, and an intermediate between it and the root.
CHAIN = "intermediate"

# Seconds that the client takes, nearly all of them for its start.
START = 0.3

# Where the client leaves a byte for each of its runs: how many an attack takes is up to the client.
RUNS = "BENCH_RUNS"

# A client that verifies with Python's ssl. What it does not need of the time for its start it
# sleeps; the number is what an interpreter has taken before its first line.
CLIENT = f"""
import os, socket, ssl, time
host, port, ca = (os.environ["MITM_" + name] for name in ("HOST", "PORT", "CA"))
with open(os.environ.get("{RUNS}", os.devnull), "ab") as runs:
    runs.write(b".")
context = ssl.create_default_context(cafile=ca)
time.sleep(max({START} - 0.015 - time.process_time(), 0))
with socket.create_connection((host, int(port))) as plain:
    with context.wrap_socket(plain, server_hostname=os.environ["MITM_NAME"]) as tls:
        tls.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
"""


class Results(NamedTuple):
    """What was measured.

    Attributes:
        forge_ms: for one chain, of each round.
        runs: how often the client was run in one audit, beside the two controls.
        jobs: how many runs of the command there were at once.
        command_seconds, in_process_seconds: for a whole audit, of each round.
        stacks: audits of clients in several stacks.
    """

    forge_ms: list[float]
    runs: int
    jobs: int
    command_seconds: list[float]
    in_process_seconds: list[float]
    stacks: Sequence[Stack] = ()


def measure(rounds: int = ROUNDS) -> Results:
    """Play all rounds.

    Raises:
        UserError: an audit came to something else than it must.
    """
    jobs = len(os.sched_getaffinity(0))
    results = Results([], by_command(jobs), jobs, [], [], stacks.measure())
    for number in range(1, rounds + 1):
        results.forge_ms.append(forge())
        results.command_seconds.append(_seconds(lambda: by_command(jobs)))
        results.in_process_seconds.append(_seconds(in_process))
        print(
            f"round {number}/{rounds}, audit: {results.forge_ms[-1]:.2f} ms a chain, "
            f"{results.command_seconds[-1]:.1f} s by command, "
            f"{results.in_process_seconds[-1]:.1f} s in process",
            file=sys.stderr,
        )
    return results


def certificate_ms() -> float:
    """CPU milliseconds of an audit for each certificate, in the process that audits.

    What the client takes in its own process is not in it; to start that process is.

    Raises:
        UserError: the audit came to something else than it must.
    """
    client = [sys.executable, "-c", CLIENT]
    only = list(content.markdown_files(content.CERTS))
    before = time.process_time()
    report = audit.run(client, only=only, jobs=len(os.sched_getaffinity(0)))
    spent = time.process_time() - before
    if not report.conclusive or report.count("inconclusive"):
        raise UserError("the audit by command came to something else than it must")
    return 1000 * spent / len(report.findings)


def forge() -> float:
    """Milliseconds to forge a chain, median of many."""
    recipe = pki.load_recipe(CHAIN)
    authorities, now = pki.Authorities(["localhost"]), datetime.now(UTC)
    return 1000 * median(
        _seconds(lambda: pki.forge(recipe, "localhost", authorities, now)) for _ in range(FORGINGS)
    )


def by_command(jobs: int) -> int:
    """Audit the client that takes a while to start, as a user would.

    Returns:
        How often it was run, beside the two controls.
    """
    program = str(Path(sys.executable).with_name("mitm-demo"))
    client = [sys.executable, "-c", CLIENT]
    with NamedTemporaryFile() as runs:
        done = subprocess.run(
            [program, "audit", "--json", "--jobs", str(jobs), "--", *client],
            capture_output=True,
            text=True,
            env={**os.environ, RUNS: runs.name},
        )
        count = Path(runs.name).stat().st_size - 2
    if done.returncode != 0 or json.loads(done.stdout)["summary"]["inconclusive"]:
        raise UserError(f"the audit ended with {done.returncode}: {done.stderr or done.stdout}")
    return count


def in_process() -> None:
    """Audit a grpcio client of this process."""
    report = audit.run(_call)
    if not report.conclusive or report.failing() or report.count("inconclusive"):
        raise UserError("the audit of grpcio in process came to something else than it must")


def _call(server: audit.Endpoint) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=server.ca_pem)
    with grpc.secure_channel(server.target, credentials) as channel:
        channel.unary_unary("/users.v1.UserService/GetUser", _identity, _identity)(b"", timeout=10)


def _identity(data: bytes) -> bytes:
    return data


def _seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def section(results: Results) -> list[str]:
    """The lines of the page, in Markdown."""
    ideal = results.runs * START / results.jobs
    overhead = [seconds / ideal for seconds in results.command_seconds]
    return [
        "## Auditing a client",
        "",
        f"The client is run {results.runs} times, for certificates and attacks. Wall time of "
        f"{len(results.forge_ms)} rounds; median",
        "(lowest to highest).",
        "",
        "| what | measured | goal |",
        "| --- | --- | --- |",
        f"| forging a chain of two with ECDSA keys (`{CHAIN}`) "
        f"| {_spread(results.forge_ms, '.2f')} ms | at most {FORGE_GOAL:g} ms: "
        f"{_verdict(results.forge_ms, FORGE_GOAL)} |",
        f"| `mitm-demo audit --jobs {results.jobs}` of a client that takes {START} s "
        f"| {_spread(results.command_seconds, '.1f')} s, {_spread(overhead, '.2f')} x the client's "
        f"own {ideal:.1f} s | at most {OVERHEAD_GOAL:g} x: {_verdict(overhead, OVERHEAD_GOAL)} |",
        "| the whole catalogue, in process, against a grpcio client "
        f"| {_spread(results.in_process_seconds, '.2f')} s | at most {IN_PROCESS_GOAL:g} s on 2 "
        f"cores: {_verdict(results.in_process_seconds, IN_PROCESS_GOAL)} |",
        "",
        "The client's own time is runs x its time / jobs. The two controls, the start of",
        "`mitm-demo` and the forging of the catalogue come on top of it.",
        *(("", *stacks.lines(results.stacks)) if results.stacks else ()),
    ]


def _spread(values: list[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _verdict(values: list[float], limit: float) -> str:
    return "reached" if median(values) <= limit else "not reached"


if __name__ == "__main__":
    print("\n".join(section(measure())))
