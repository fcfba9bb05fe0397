"""The page that a measurement becomes: docs/performance.md."""

import os
import platform
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import tools, ways
from bench.ways import Way
from bench.workloads import BUSY, LARGE, LONE, Workload

# To reach: milliseconds of CPU for 1,000 unary calls with no log, all of them parsed, and seconds
# for a whole demonstration.
CPU_GOAL = 200.0
DEMO_GOAL = 2.5


class Measurement(NamedTuple):
    """One workload, measured once one way.

    Attributes:
        rate: calls per second, or messages per second of a stream.
        p50_ms, p99_ms: of a call, as its client sees it.
        cpu_ms: of the proxy, for 1,000 calls or messages; None without a proxy.
        peak_mib: the most memory that the proxy had resident; None without one.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float | None = None
    peak_mib: float | None = None

    def __str__(self) -> str:
        proxy = "" if self.cpu_ms is None else f", {self.cpu_ms:,.1f} ms of CPU for 1,000"
        return f"{self.rate:,.0f}/s, p50 {self.p50_ms:.2f} ms{proxy}"


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        load: the machine's load average over a minute, before the first round and after the last.
        calls: what each round measured, by the names of workload and way.
        absent: why a way is missing, by its name.
        memory: peaks of one interceptor in MiB, by the calls that it had seen.
        crowds: CPU of each round for 1,000 calls, in milliseconds, by the number of connections.
        demo_seconds: wall time of `mitm-demo run` of each round.
    """

    started: datetime
    load: tuple[float, float]
    rounds: int
    workloads: Sequence[Workload]
    ways: Sequence[str]
    absent: Mapping[str, str]
    calls: Mapping[tuple[str, str], Sequence[Measurement]]
    memory: Mapping[int, float]
    crowds: Mapping[int, Sequence[float]]
    demo: str
    demo_seconds: Sequence[float]

    def of(self, workload: Workload, way: Way | str) -> Sequence[Measurement]:
        """The measurements of all rounds; none if there was no such way."""
        name = way if isinstance(way, str) else way.name
        return self.calls.get((workload.name, name), ())


class Goal(NamedTuple):
    """A ratio to reach.

    Attributes:
        what: is compared.
        against: what it is compared with.
        limit: in the words of the page.
        values: of each round; none if it could not be measured.
        reached: whether a value is good enough.
        form: shows a value.
    """

    what: str
    against: str
    limit: str
    values: Sequence[float]
    reached: Callable[[float], bool]
    form: Callable[[float], str]

    @property
    def row(self) -> tuple[str, ...]:
        if not self.values:
            return self.what, self.against, self.limit, "", "not measured"
        verdict = "reached" if self.reached(median(self.values)) else "not reached"
        show = spread if len(self.values) > 1 else lambda values, form: form(values[0])
        return self.what, self.against, self.limit, show(self.values, self.form), verdict


def goals(results: Results) -> list[Goal]:
    """The goals, with what was measured of them; ratios are of the same round."""

    def ratios(workload: Workload, ratio: Callable[..., float], *names: Way | str) -> list[float]:
        rounds = [results.of(workload, name) for name in names]
        return (
            [ratio(*same_round) for same_round in zip(*rounds, strict=True)] if all(rounds) else []
        )

    rate = lambda one, other: one.rate / other.rate  # noqa: E731
    cpu = lambda one, other: one.cpu_ms / other.cpu_ms  # noqa: E731
    calls, memory = list(results.memory), list(results.memory.values())
    fewest, most = min(results.crowds), max(results.crowds)
    crowds = zip(results.crowds[fewest], results.crowds[most], strict=True)
    return [
        Goal(
            "CPU a call, 4 x 32, JSON lines",
            "mitmproxy",
            "at most 1/20",
            ratios(BUSY, cpu, ways.LOGGING, ways.MITMPROXY),
            lambda value: value <= 1 / 20,
            lambda value: f"1/{1 / value:.1f}",
        ),
        Goal(
            "calls/s, 4 x 32, no output",
            ways.NGHTTPX.name,
            "at least 1.0 x",
            ratios(BUSY, rate, ways.SILENT, ways.NGHTTPX),
            lambda value: value >= 1.0,
            _times,
        ),
        Goal(
            "calls/s, 4 x 32, JSON lines",
            ways.NGHTTPX.name,
            "at least 0.7 x",
            ratios(BUSY, rate, ways.LOGGING, ways.NGHTTPX),
            lambda value: value >= 0.7,
            _times,
        ),
        Goal(
            "p50 added, 1 x 1, no output",
            ways.NGHTTPX.name,
            "at most 1.0 x",
            _added(results),
            lambda value: value <= 1.0,
            _times,
        ),
        Goal(
            "bytes/s, 64 KiB, no output",
            ways.STRAIGHT.name,
            "at least 0.6 x",
            ratios(LARGE, rate, ways.SILENT, ways.STRAIGHT),
            lambda value: value >= 0.6,
            _times,
        ),
        Goal(
            f"memory at {calls[-1]:,} calls, no output",
            f"at {calls[0]:,}",
            "less than 10 MiB more",
            [memory[-1] - memory[0]],
            lambda value: value < 10,
            lambda value: f"{value:+.1f} MiB",
        ),
        Goal(
            f"CPU a call, {most:,} connections",
            f"{fewest:,} connection",
            "at most 1.3 x",
            [many / few for few, many in crowds],
            lambda value: value <= 1.3,
            _times,
        ),
        *(
            Goal(
                f"CPU for 1,000 calls, {workload.name}, no output",
                "",
                f"at most {CPU_GOAL:g} ms",
                [one.cpu_ms or 0.0 for one in results.of(workload, ways.SILENT)],
                lambda value: value <= CPU_GOAL,
                lambda value: f"{value:,.0f} ms",
            )
            for workload in (BUSY, LONE)
        ),
        Goal(
            f"`mitm-demo run {results.demo}`, wall time",
            "",
            f"at most {DEMO_GOAL:g} s on 2 cores",
            results.demo_seconds,
            lambda value: value <= DEMO_GOAL,
            lambda value: f"{value:.2f} s",
        ),
    ]


def _times(value: float) -> str:
    return f"{value:.2f} x"


def _added(results: Results) -> list[float]:
    """How much latency the interceptor adds, to how much nghttpx adds: medians of all rounds.

    Within a round the difference of two latencies is as large as their noise, and may be none.
    """
    straight = [one.p50_ms for one in results.of(LONE, ways.STRAIGHT)]
    own, peer = (
        median(one.p50_ms - base for one, base in zip(results.of(LONE, way), straight, strict=True))
        for way in (ways.SILENT, ways.NGHTTPX)
    )
    return [own / peer] if peer > 0 else []


def machine(others: Sequence[str]) -> list[tuple[str, str]]:
    """What it was measured on.

    Args:
        others: peers that are no package of the system, with their versions.
    """
    packages = ("uvloop", "hpack", "h2", "msgspec", "protobuf", "cryptography")
    return [
        ("CPU", f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_version()}, {ssl.OPENSSL_VERSION}"),
        ("Packages", ", ".join(f"{name} {version(name)}" for name in packages)),
        ("Load, server, peers", ", ".join([*tools.versions(), *others])),
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
    return "\n".join([*_lines(results, machine, audit), ""])


def _lines(
    results: Results, machine: Sequence[tuple[str, str]], audit: Sequence[str]
) -> Iterator[str]:
    yield from _INTRODUCTION.splitlines()
    yield ""
    yield f"{results.rounds} rounds, interleaved; median (lowest to highest)."
    yield from ("", "![Calls per second, and CPU, each way](performance.svg)", "")
    yield from ("## Goals", "")
    yield from _table(
        ("what", "against", "goal", "measured", ""), [goal.row for goal in goals(results)]
    )
    yield from ("", *_GOALS.splitlines(), "")
    yield from ("## Each way", "")
    for workload in results.workloads:
        yield from (f"### {workload.name}", "", f"{workload.about[0].upper()}{workload.about[1:]}.")
        yield ""
        head = ("way", f"CPU ms for 1,000 {workload.unit}", f"{workload.unit}/s", "of straight")
        yield from _table((*head, "p50 ms", "p99 ms", "peak MiB"), list(_rows(results, workload)))
        yield ""
    for name, reason in results.absent.items():
        yield f"Left out: {name}, {reason}."
        yield ""
    yield from ("## Growth", "", *_GROWTH.splitlines(), "")
    yield from _table(
        ("calls so far, 4 x 32, no output", "peak MiB"),
        [(f"{calls:,}", f"{peak:.1f}") for calls, peak in results.memory.items()],
    )
    yield ""
    yield from _table(
        ("connections", "CPU ms for 1,000 calls, no output"),
        [(f"{number:,}", spread(cpu, _whole)) for number, cpu in results.crowds.items()],
    )
    yield from ("", *audit, *([""] if audit else []), "## The machine", "")
    when = f"{results.started:%Y-%m-%d %H:%M} UTC"
    load = "before {:.2f}, after {:.2f}".format(*results.load)
    yield from _table(("what", "which"), [*machine, ("When", when), ("Load average", load)])


_INTRODUCTION = """\
# Performance

Written by `make bench`; every figure on this page comes from one run of it. It needs Linux, and
`apt install nghttp2-client nghttp2-server nghttp2-proxy`.

`h2load` makes calls with gRPC's headers; `nghttpd` echoes the message, or streams what a file
holds, and ends with `grpc-status: 0`; all of it over TLS 1.3, on every leg. Between them stands a
proxy, in a process of its own that is started afresh for each measurement:

- the interceptor as `mitm-demo proxy` runs it, without the console. It parses and decodes
  everything: each measurement checks that it saw the headers of the request, every message, the
  headers of the response and the trailers of every call. With *JSON lines* it writes every event
  down, with *pcapng* every packet; *rewriting*, it changes a field of every `User`;
- `nghttpx`, which is written in C, with one worker. It understands HTTP/2, and knows nothing of
  gRPC;
- `mitmproxy` as a reverse proxy, with its console off.

*CPU* is the proxy's own, in user and kernel mode. *Peak* is the most memory it had resident. *Of
straight* compares with the calls straight to the server in the same round. What is slow is given
fewer calls."""

_GOALS = """\
Ratios compare within a round; that of the latencies added compares medians. Client, server and
proxy share the machine's cores: calls per second and latencies say as much about the machine as
about a proxy. CPU time is the steadier figure."""

_GROWTH = """\
One interceptor, asked again after more calls; and calls one at a time on each of more and more
connections, of which the making is not counted."""


def _rows(results: Results, workload: Workload) -> Iterator[tuple[str, ...]]:
    straight = results.of(workload, ways.STRAIGHT)
    for way in results.ways:
        measured = results.of(workload, way)
        cpu = [one.cpu_ms for one in measured if one.cpu_ms is not None]
        peak = [one.peak_mib for one in measured if one.peak_mib is not None]
        share = [one.rate / base.rate for one, base in zip(measured, straight, strict=True)]
        yield (
            way,
            spread(cpu, figures) if cpu else "",
            spread([one.rate for one in measured], _whole),
            spread(share, lambda value: f"{value:.2f}") if cpu else "",
            spread([one.p50_ms for one in measured], figures),
            spread([one.p99_ms for one in measured], figures),
            f"{median(peak):.0f}" if peak else "",
        )


def figures(value: float) -> str:
    """A number with three figures or more."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Median (lowest to highest)."""
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
