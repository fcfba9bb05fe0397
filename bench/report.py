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
from bench.growth import Resident
from bench.ways import Way
from bench.workloads import ANEW, BUSY, LARGE, LONE, Workload

# To reach: seconds for a whole demonstration, CPU seconds for the start of a command, and CPU
# milliseconds of an audit for a certificate.
DEMO_GOAL = 2.5
START_GOAL = 0.15
CERTIFICATE_GOAL = 10.0

# Linux puts an ACK off for 40 ms (TCP_DELACK_MIN). Milliseconds of a latency that looks like it,
# and how many of them a call there must have been.
_DELAY = (38.0, 50.0)
_DELAYED_ACKS = 0.005
_STALLED = "†"


class Measurement(NamedTuple):
    """One workload, measured once one way.

    Attributes:
        rate: calls per second, or messages per second of a stream.
        p50_ms, p99_ms: of a call, as its client sees it.
        cpu_ms: of the proxy, for 1,000 calls or messages; None without a proxy.
        peak_mib: the most memory that the proxy had resident; None without one.
        delayed_acks: ACKs that were put off meanwhile on the whole machine, for each call.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float | None = None
    peak_mib: float | None = None
    delayed_acks: float = 0.0

    @property
    def stalled(self) -> bool:
        """Whether calls have waited for an ACK that was put off, which is no work of anybody's."""
        waited = any(_DELAY[0] <= each <= _DELAY[1] for each in (self.p50_ms, self.p99_ms))
        return waited and self.delayed_acks >= _DELAYED_ACKS

    def __str__(self) -> str:
        proxy = "" if self.cpu_ms is None else f", {self.cpu_ms:,.1f} ms of CPU for 1,000"
        return f"{self.rate:,.0f}/s, p50 {self.p50_ms:.2f} ms{proxy}"


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        load: the machine's load average over a minute, before the first round and after the last.
        ways: names of the ways of each workload.
        decodes: what of the messages each way decodes.
        calls: what each round measured, by the names of workload and way.
        absent: why a way is missing, by its name.
        memory: peaks of one interceptor in MiB, by the calls that it had seen.
        crowds: CPU of each round for 1,000 calls, in milliseconds, by the number of connections.
        resident: memory around connections that were made at once, by their number.
        starts: CPU seconds of each round, by command.
        texts: CPU milliseconds of each round, without a schema and with one, by text.
        certificate_ms: CPU of an audit for a certificate, of each round.
        demo_seconds: wall time of `mitm-demo run` of each round.
    """

    started: datetime
    load: tuple[float, float]
    rounds: int
    workloads: Sequence[Workload]
    ways: Mapping[str, Sequence[str]]
    decodes: Mapping[str, str]
    absent: Mapping[str, str]
    calls: Mapping[tuple[str, str], Sequence[Measurement]]
    memory: Mapping[int, float]
    resident: Mapping[int, Resident]
    crowds: Mapping[int, Sequence[float]]
    starts: Mapping[str, Sequence[float]]
    texts: Mapping[str, Sequence[tuple[float, float]]]
    certificate_ms: Sequence[float]
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
    haproxy = f"{ways.HAPROXY.name}, without reuse"
    silent = ways.SILENT.name

    def at_most(limit: float, what: str, against: str, values: Sequence[float]) -> Goal:
        return Goal(what, against, f"at most {limit:.1f} x", values, lambda v: v <= limit, _times)

    def at_least(limit: float, what: str, against: str, values: Sequence[float]) -> Goal:
        return Goal(what, against, f"at least {limit:.1f} x", values, lambda v: v >= limit, _times)

    def share(what: str, way: Way) -> Goal:
        values = ratios(BUSY, cpu, way, ways.MITMDUMP)
        limit, form = "at most 1/20", lambda value: f"1/{1 / value:.1f}"
        return Goal(what, ways.MITMDUMP, limit, values, lambda value: value <= 1 / 20, form)

    return [
        share("CPU a call, 4 x 32, `proxy` into a file, every line written", ways.FILE),
        at_most(2.5, "the same", silent, ratios(BUSY, cpu, ways.FILE, ways.SILENT)),
        at_most(
            1.5,
            "CPU a call, 4 x 32, `proxy` on a terminal, more than it shows",
            silent,
            ratios(BUSY, cpu, ways.TERMINAL, ways.SILENT),
        ),
        share("CPU a call, 4 x 32, `proxy --quiet --events`", ways.LOGGING),
        at_least(
            1.0,
            "calls/s, 4 x 32, everything made, no output",
            haproxy,
            ratios(BUSY, rate, ways.SILENT, ways.HAPROXY),
        ),
        at_most(
            2.5,
            "CPU a call, 4 x 32, everything made, no output",
            haproxy,
            ratios(BUSY, cpu, ways.SILENT, ways.HAPROXY),
        ),
        at_most(
            1.0,
            "CPU a call, 4 x 32, `proxy --quiet`",
            haproxy,
            ratios(BUSY, cpu, ways.QUIET, ways.HAPROXY),
        ),
        at_most(
            1.7,
            "CPU a call, 1 x 1, everything made, no output",
            haproxy,
            ratios(LONE, cpu, ways.SILENT, ways.HAPROXY),
        ),
        at_most(
            1.4,
            "CPU a new connection with its call",
            haproxy,
            ratios(ANEW, cpu, ways.SILENT, ways.HAPROXY),
        ),
        at_most(
            1.3,
            f"CPU a call, {most:,} connections",
            f"{fewest:,} connection",
            [many / few for few, many in crowds],
        ),
        at_most(
            1.5,
            f"CPU, 64 KiB of text without a schema: {_worst(results)}",
            "with one",
            [without / with_ for without, with_ in results.texts.get(_worst(results), ())],
        ),
        Goal(
            "audit, CPU a certificate over the client's own",
            "",
            f"at most {CERTIFICATE_GOAL:g} ms",
            results.certificate_ms,
            lambda value: value <= CERTIFICATE_GOAL,
            lambda value: f"{value:.1f} ms",
        ),
        *(
            Goal(
                f"start-up, `mitm-demo {command}`",
                "",
                f"at most {START_GOAL:g} s of CPU",
                seconds,
                lambda value: value <= START_GOAL,
                lambda value: f"{value:.3f} s",
            )
            for command, seconds in results.starts.items()
        ),
        at_least(
            0.6,
            "bytes/s, 64 KiB, everything made, no output",
            ways.STRAIGHT.name,
            ratios(LARGE, rate, ways.SILENT, ways.STRAIGHT),
        ),
        at_most(1.0, "p50 added, 1 x 1, everything made, no output", haproxy, _added(results)),
        Goal(
            f"memory at {calls[-1]:,} calls, no output",
            f"at {calls[0]:,}",
            "less than 10 MiB more",
            [memory[-1] - memory[0]],
            lambda value: value < 10,
            lambda value: f"{value:+.1f} MiB",
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


def _worst(results: Results) -> str:
    """The text that costs the most without a schema, beside what it costs with one."""
    return max(
        results.texts,
        key=lambda name: median(without / with_ for without, with_ in results.texts[name]),
        default="",
    )


def _times(value: float) -> str:
    return f"{value:.2f} x"


def _added(results: Results) -> list[float]:
    """How much latency the interceptor adds, to how much haproxy adds: medians of all rounds.

    Within a round the difference of two latencies is as large as their noise, and may be none.
    """
    if not results.of(LONE, ways.HAPROXY):
        return []
    straight = [one.p50_ms for one in results.of(LONE, ways.STRAIGHT)]
    own, peer = (
        median(one.p50_ms - base for one, base in zip(results.of(LONE, way), straight, strict=True))
        for way in (ways.SILENT, ways.HAPROXY)
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
        rows = list(_rows(results, workload))
        yield from _table((*head, "p50 ms", "p99 ms", "peak MiB", "decoded"), rows)
        yield ""
        if any(_STALLED in cell for row in rows for cell in row):
            yield from _STALLS.splitlines()
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
    yield from ("", *_RESIDENT.splitlines(), "")
    yield from _table(
        ("connections at once", "before", "at the peak", "5 s after the last", "got through"),
        [
            (f"{number:,}", *(f"{mib:.0f} MiB" for mib in resident[:3]), f"{resident.through:,}")
            for number, resident in results.resident.items()
        ],
    )
    yield from ("", "## Long texts without a schema", "", *_TEXTS.splitlines(), "")
    yield from _table(
        ("64 KiB of", "CPU ms without a schema", "with one", "ratio"),
        [
            (
                name,
                spread([without for without, _ in both], figures),
                spread([with_ for _, with_ in both], figures),
                spread([without / with_ for without, with_ in both], _times),
            )
            for name, both in results.texts.items()
        ],
    )
    yield from ("", *audit, *([""] if audit else []), "## The machine", "")
    when = f"{results.started:%Y-%m-%d %H:%M} UTC"
    load = "before {:.2f}, after {:.2f}".format(*results.load)
    yield from _table(("what", "which"), [*machine, ("When", when), ("Load average", load)])


_INTRODUCTION = """\
# Performance

Written by `make bench`; every figure on this page comes from one run of it. It needs Linux, and
`apt install nghttp2-client nghttp2-server nghttp2-proxy`; `haproxy` and Go are compared with where
they are.

`h2load` makes calls with gRPC's headers; `nghttpd` echoes the message, or streams what a file
holds, and ends with `grpc-status: 0`; all of it over TLS 1.3, on every leg. Between them stands a
proxy, in a process of its own that is started afresh for each measurement:

- `mitm-demo proxy` as users start it, the console script, ended by Ctrl-C. *Into a file* every line
  is written: each measurement counts the lines of requests, messages and verdicts. *On a terminal*
  somebody else reads what is shown, which is not all where nobody could read it. With *--quiet* it
  shows the verdict of each connection, and no message is decoded; *--events* writes every event
  down, all of them counted, *--pcap* every packet; *--rewrite* changes a field of every request;
- the interceptor with *no output*: every event is made, every message decoded, and each of them
  counted by the benchmark itself. It is what the console and the logs are compared with;
- `haproxy` and `nghttpx`, which are written in C, with one thread each. They understand HTTP/2, and
  know nothing of gRPC. haproxy has connections to the server for each of the client's
  (`http-reuse never`), as an interceptor must, and one for each call that is open at once; nghttpx
  shares a few among all clients;
- `mitmdump` as a reverse proxy, as installed with its console into a file, a line for each call,
  and with its console off;
- `grpc-dump`, against a server in Go.

*CPU* is the proxy's own, in user and kernel mode, by the kernel's account, with what it still does
after the last call. *Of straight* compares calls/s with those straight to the server in the same
round. *Peak* is the most memory it had resident. *Decoded* says which messages were. What is slow
is given fewer calls."""

_GOALS = """\
Ratios compare within a round; that of the latencies added compares medians. Client, server and
proxy share the machine's cores: calls per second and latencies say as much about the machine as
about a proxy. CPU time is the steadier figure."""

_STALLS = f"""\
{_STALLED} These calls have waited for an ACK that a peer put off (40 ms), and not for work: compare
CPU."""

_GROWTH = """\
One interceptor, asked again after more calls; and calls one at a time on each of more and more
connections, of which the making is not counted."""

_RESIDENT = """\
Resident memory of `mitm-demo proxy --quiet` around a call on each of many connections that are made
at once."""

_TEXTS = """\
A message with one long text, decoded in process."""


def _rows(results: Results, workload: Workload) -> Iterator[tuple[str, ...]]:
    straight = results.of(workload, ways.STRAIGHT)
    for way in results.ways[workload.name]:
        measured = results.of(workload, way)
        mark = f" {_STALLED}" if sum(one.stalled for one in measured) * 2 > len(measured) else ""
        cpu = [one.cpu_ms for one in measured if one.cpu_ms is not None]
        peak = [one.peak_mib for one in measured if one.peak_mib is not None]
        share = [one.rate / base.rate for one, base in zip(measured, straight, strict=True)]
        yield (
            way,
            spread(cpu, figures) if cpu else "",
            spread([one.rate for one in measured], _whole),
            spread(share, lambda value: f"{value:.2f}") if cpu else "",
            spread([one.p50_ms for one in measured], figures),
            spread([one.p99_ms for one in measured], figures) + mark,
            f"{median(peak):.0f}" if peak else "",
            results.decodes.get(way, ""),
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
