"""The page that a measurement becomes: docs/performance.md."""

import os
import platform
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import tools
from bench.tools import Workload

# To reach: milliseconds of the interceptor's CPU a unary call with no log, all of it parsed, and
# seconds for a whole demonstration.
CPU_GOAL = 0.2
DEMO_GOAL = 2.5


class Measurement(NamedTuple):
    """One workload, measured once one way.

    Attributes:
        rate: calls per second.
        cpu_ms: CPU time of the interceptor a call, in milliseconds; None without one.
    """

    rate: float
    cpu_ms: float | None = None

    def __str__(self) -> str:
        spent = "" if self.cpu_ms is None else f", {self.cpu_ms:.3f} ms of CPU a call"
        return f"{self.rate:,.0f} calls/s{spent}"


class Results(NamedTuple):
    """What was measured.

    Attributes:
        load: the machine's load average over a minute, before the first round and after the last.
        straight: the way without the interceptor; `intercepted` those with it.
        calls: what each round measured, by workload and way.
        demo_seconds: wall time of `mitm-demo run` of each round.
    """

    started: datetime
    load: tuple[float, float]
    rounds: int
    workloads: Sequence[Workload]
    straight: str
    intercepted: Sequence[str]
    calls: Mapping[tuple[Workload, str], Sequence[Measurement]]
    demo: str
    demo_seconds: list[float]


def machine() -> list[tuple[str, str]]:
    """What it was measured on."""
    packages = ("uvloop", "hpack", "msgspec", "protobuf", "cryptography")
    return [
        ("CPU", f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_version()}, {ssl.OPENSSL_VERSION}"),
        ("Packages", ", ".join(f"{name} {version(name)}" for name in packages)),
        ("Load and server", ", ".join(tools.versions())),
    ]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def page(results: Results, machine: Sequence[tuple[str, str]], audit: Sequence[str] = ()) -> str:
    """The whole page, in Markdown.

    Args:
        audit: the lines of the section on audits.
    """
    return "\n".join(
        [
            "# Performance",
            "",
            "Written by `make bench`; every figure on this page comes from one run of it. It needs",
            "Linux, and `apt install nghttp2-client nghttp2-server`.",
            "",
            "## Unary calls",
            "",
            "`h2load` makes calls with gRPC's headers and a message of "
            f"{len(tools.BODY) - 5} bytes; `nghttpd` echoes the",
            "message and ends with `grpc-status: 0`; all of it over TLS 1.3. The interceptor is a",
            "process of its own and parses everything: each measurement checks that it decoded the",
            "request's headers and message, the response's headers and message, and the trailers",
            "of every call. *CPU* is the interceptor's own, in user and kernel mode. *Of straight*",
            "compares with the calls straight to the server in the same round.",
            "",
            f"{results.rounds} rounds, interleaved; median (lowest to highest).",
            "",
            *_table(
                ("connections x streams", "way", "CPU ms a call", "calls/s", "of straight"),
                [row for workload in results.workloads for row in _rows(results, workload)],
            ),
            "",
            f"Goal: at most {CPU_GOAL} ms of CPU a call, everything parsed and no log:",
            "",
            *(
                f"- {workload}: {_verdict(cpu, CPU_GOAL)}, median {cpu:.3f} ms"
                for workload in results.workloads
                for cpu in [median(_cpu(results, workload, results.intercepted[0]))]
            ),
            "",
            "Client, server and interceptor share the machine's cores: calls per second say as",
            "much about the machine as about the interceptor. Its CPU time is the steadier figure.",
            "With one call at a time each call pays for waking the interceptor twice, in the",
            "kernel and in cold caches; with many at once, one waking serves many calls.",
            "",
            "## A whole demonstration",
            "",
            f"`mitm-demo run {results.demo}`, from the command to its exit: both legs are played,",
            "with a server, an interceptor and a client. Wall time, median of "
            f"{results.rounds} runs: {_spread(results.demo_seconds, '.2f')} s.",
            "",
            f"Goal: at most {DEMO_GOAL} s on 2 cores: "
            f"{_verdict(median(results.demo_seconds), DEMO_GOAL)}.",
            "",
            *audit,
            "",
            "## The machine",
            "",
            *_table(
                ("what", "which"),
                [
                    *machine,
                    ("When", f"{results.started:%Y-%m-%d %H:%M} UTC"),
                    ("Load average", "before {:.2f}, after {:.2f}".format(*results.load)),
                ],
            ),
            "",
        ]
    )


def _rows(results: Results, workload: Workload) -> list[tuple[str, ...]]:
    straight = [measured.rate for measured in results.calls[workload, results.straight]]
    rows: list[tuple[str, ...]] = [
        (str(workload), results.straight, "", _spread(straight, ",.0f"), "")
    ]
    for way in results.intercepted:
        rates = [measured.rate for measured in results.calls[workload, way]]
        rows.append(
            (
                str(workload),
                way,
                _spread(_cpu(results, workload, way), ".3f"),
                _spread(rates, ",.0f"),
                _spread([rate / base for rate, base in zip(rates, straight, strict=True)], ".2f"),
            )
        )
    return rows


def _cpu(results: Results, workload: Workload, way: str) -> list[float]:
    return [m.cpu_ms for m in results.calls[workload, way] if m.cpu_ms is not None]


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _verdict(value: float, limit: float) -> str:
    return "reached" if value <= limit else "not reached"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
