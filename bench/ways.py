"""The ways that calls take to the server: straight, through the interceptor, through its peers."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import tools
from bench.workloads import Workload
from mitm.errors import UserError

# The interceptor must have seen each of these once a call, or once a message of a stream.
_PARTS = ("request", "client message", "response", "trailers")

# What the server sends has an id of 1: another value, of the same length.
_RULE = "users.v1.User.id=2"

# nghttpx's own windows of 64 KiB would make each message of that size wait for an update.
_WINDOWS = [
    f"--{side}-http2{of}-window-size=16M"
    for side in ("frontend", "backend")
    for of in ("", "-connection")
]


class Files(NamedTuple):
    """What server, proxies and clients read and write."""

    directory: Path

    def chain(self, whose: str) -> tuple[Path, Path]:
        return self.directory / f"{whose}.pem", self.directory / f"{whose}.key"

    @property
    def served(self) -> Path:
        """What the server streams."""
        return self.directory / "served"


class Proxy(NamedTuple):
    """A proxy that runs."""

    pid: int
    port: int


# Starts a proxy before the server on a port, for a workload.
Start = Callable[[int, Workload, Files], AbstractContextManager[Proxy]]


class Way(NamedTuple):
    """One of the ways.

    Attributes:
        name: in tables.
        start: its proxy; None for the straight one.
        slow: it is given one call where others are given as many as this.
    """

    name: str
    start: Start | None = None
    slow: int = 1


@contextmanager
def interceptor(
    server: int, workload: Workload, files: Files, *, options: tuple[str, ...] = ()
) -> Iterator[Proxy]:
    """Run an interceptor in a process of its own.

    Args:
        options: for `bench.interceptor`.

    Raises:
        UserError: at its end, if it has not read all of the workload.
    """
    with interceptor_process(server, files, options) as (process, proxy):
        yield proxy
        seen = _seen(process)
    expected: dict[str, object] = dict.fromkeys(_PARTS, workload.calls)
    expected |= {
        "server message": workload.units,
        "server over TLSv1.3 and h2": workload.opened,
        "lost": "",
    }
    if not expected.items() <= seen.items() or "ParseFailed" in seen:
        raise UserError(f"the interceptor should have seen {expected}, and saw {seen}")


@contextmanager
def interceptor_process(
    server: int, files: Files, options: tuple[str, ...] = ()
) -> Iterator[tuple["subprocess.Popen[str]", Proxy]]:
    """Run an interceptor in a process of its own, whatever it is to see."""
    command = [sys.executable, "-m", "bench.interceptor", str(server)]
    command += [*map(str, files.chain("attacker")), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Proxy(process.pid, int(process.stdout.readline()))
        finally:
            process.terminate()


def _seen(process: "subprocess.Popen[str]") -> dict[str, object]:
    """End an interceptor; what it says that it saw."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    seen: dict[str, object] = json.loads(process.stdout.read())
    return seen


@contextmanager
def logging(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The interceptor, with a log of all events."""
    options = ("--events", str(files.directory / "events.jsonl"))
    with interceptor(server, workload, files, options=options) as proxy:
        yield proxy


@contextmanager
def capturing(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The interceptor, with a capture of all packets."""
    options = ("--pcap", str(files.directory / "calls.pcapng"))
    with interceptor(server, workload, files, options=options) as proxy:
        yield proxy


@contextmanager
def rewriting(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The interceptor, changing every User that passes: an HTTP/2 endpoint on both sides."""
    with interceptor(server, workload, files, options=("--rewrite", _RULE)) as proxy:
        yield proxy


@contextmanager
def nghttpx(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """nghttpx, which speaks HTTP/2 and TLS on both sides, with one worker."""
    port = tools.free_port()
    cert, key = files.chain("attacker")
    command = [tools.find()["nghttpx"], "--conf=/dev/null", "--single-process", "--workers=1"]
    command += ["--insecure", "--accesslog-file=/dev/null", "--errorlog-file=/dev/null"]
    command += ["--log-level=ERROR", *_WINDOWS, f"--frontend={tools.LOOPBACK},{port}"]
    command += [f"--backend={tools.LOOPBACK},{server};;proto=h2;tls", str(key), str(cert)]
    with tools.running(command, port) as pid:
        yield Proxy(pid, port)


@contextmanager
def mitmproxy(mitmdump: Path, server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """mitmproxy, without its console."""
    port = tools.free_port()
    cert, key = files.chain("attacker")
    both = files.directory / "attacker-with-key.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    command = [str(mitmdump), "--quiet", "--set", f"confdir={files.directory / 'mitmproxy'}"]
    command += ["--mode", f"reverse:https://{tools.LOOPBACK}:{server}", "--ssl-insecure"]
    command += ["--listen-host", tools.LOOPBACK, "--listen-port", str(port), "--certs", str(both)]
    with tools.running(command, port) as pid:
        yield Proxy(pid, port)


STRAIGHT = Way("straight to the server")
SILENT = Way("interceptor", interceptor)
LOGGING = Way("interceptor, JSON lines", logging)
CAPTURING = Way("interceptor, pcapng", capturing)
REWRITING = Way("interceptor, rewriting", rewriting)
NGHTTPX = Way("nghttpx, one worker", nghttpx)
MITMPROXY = "mitmproxy"


def mitmproxy_way(mitmdump: Path) -> Way:
    """The way through mitmproxy.

    Args:
        mitmdump: its program.
    """
    return Way(MITMPROXY, partial(mitmproxy, mitmdump), slow=40)


OWN = (SILENT, LOGGING, CAPTURING, REWRITING)
