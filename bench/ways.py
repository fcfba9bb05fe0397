"""The ways that calls take to the server: straight, through the interceptor, through its peers."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from bench import fresh, peers, tools, usage
from bench.workloads import Workload
from mitm.errors import UserError

# The interceptor must have seen each of these once a call, or once a message of a stream.
_PARTS = ("request", "client message", "response", "trailers")

# A request asks for id 1: another value, of the same length, which the server echoes. Its answers
# are of no content type of gRPC's, and left as they are.
_RULE, _BEFORE, _AFTER = "users.v1.GetUserRequest.id=2", b"\x08\x01", b"\x08\x02"

# nghttpx's own windows of 64 KiB would make each message of that size wait for an update.
_WINDOWS = [
    f"--{side}-http2{of}-window-size=16M"
    for side in ("frontend", "backend")
    for of in ("", "-connection")
]

# Seconds that a proxy has to come to its end, and rows and columns of the terminal.
_END_SECONDS = 60.0
_ROWS, _COLUMNS = 50, 160

# How lines of the console begin that tell of a call, of a message, of a connection.
_REQUEST = re.compile(rb"client \xe2\x86\x92 server +calls /")
_SERVER_MESSAGE = re.compile(rb"server \xe2\x86\x92 client +\w+ \{")
_CLIENT_MESSAGE = re.compile(rb"client \xe2\x86\x92 server +\w+ \{")
_STYLE = re.compile(rb"\x1b\[[\d;]*m")
_VERDICT = re.compile(rb"#\d+ +[A-Z]{4,}  ")


class Files(NamedTuple):
    """What server, proxies and clients read and write."""

    directory: Path

    def chain(self, whose: str) -> tuple[Path, Path]:
        return self.directory / f"{whose}.pem", self.directory / f"{whose}.key"

    def both(self, whose: str) -> Path:
        """Chain and key in one file."""
        cert, key = self.chain(whose)
        both = self.directory / f"{whose}-with-key.pem"
        both.write_bytes(key.read_bytes() + cert.read_bytes())
        return both

    @property
    def served(self) -> Path:
        """What the server streams."""
        return self.directory / "served"

    @property
    def console(self) -> Path:
        """What a proxy prints."""
        return self.directory / "console"


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
        decodes: what of the messages it decodes, in the words of the tables.
        slow: it is given one call where others are given as many as this.
        kind: `own`, `peer`, or "" for none.
    """

    name: str
    start: Start | None = None
    decodes: str = ""
    slow: int = 1
    kind: str = ""


@contextmanager
def interceptor(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """Run an interceptor that makes all events, in a process of its own.

    Raises:
        UserError: at its end, if it has not read all of the workload.
    """
    with interceptor_process(server, files) as (process, proxy):
        yield proxy
        seen = _seen(process)
    expected: dict[str, object] = dict.fromkeys(_PARTS, workload.calls)
    expected |= {
        "server message": workload.units,
        "server over TLSv1.3 and h2": workload.opened,
    }
    if not expected.items() <= seen.items() or "ParseFailed" in seen:
        raise UserError(f"the interceptor should have seen {expected}, and saw {seen}")


@contextmanager
def interceptor_process(
    server: int, files: Files
) -> Iterator[tuple["subprocess.Popen[str]", Proxy]]:
    """Run an interceptor in a process of its own, whatever it is to see."""
    command = [sys.executable, "-m", "bench.interceptor", str(server)]
    command += map(str, files.chain("attacker"))
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


# `mitm-demo proxy`, as users start it


def program() -> str:
    """The console script."""
    return str(Path(sys.executable).with_name("mitm-demo"))


@cache
def has_option(option: str) -> bool:
    """Whether `mitm-demo proxy` has an option."""
    done = subprocess.run([program(), "proxy", "--help"], capture_output=True, text=True)
    return re.search(rf"{option}\b", done.stdout) is not None


@contextmanager
def started(
    server: int, options: tuple[str, ...], output: int, errors: Path
) -> Iterator[tuple[Proxy, "subprocess.Popen[bytes]"]]:
    """Run `mitm-demo proxy`, and end it as a user does, by Ctrl-C.

    Args:
        server: the port of its upstream.
        options: beside listening and upstream.
        output: a descriptor, where it prints to.
        errors: the file for what it says of itself.

    Raises:
        UserError: it does not listen, does not end, or has something to say.
    """
    port = tools.free_port()
    command = [program(), "proxy", "--listen", f"{tools.LOOPBACK}:{port}"]
    command += ["--upstream", f"{tools.LOOPBACK}:{server}", *options]
    with (
        errors.open("wb") as said,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            tools.wait_for(process, port)
            yield Proxy(process.pid, port), process
            process.send_signal(signal.SIGINT)
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise UserError(f"does not end: {command}") from None
        finally:
            if process.poll() is None:
                process.kill()
    if said_text := errors.read_text():
        raise UserError(f"mitm-demo proxy says: {said_text}")


@contextmanager
def into_file(
    server: int, workload: Workload, files: Files, *, options: tuple[str, ...] = ()
) -> Iterator[Proxy]:
    """`mitm-demo proxy` with its console into a file: every line must be there."""
    with into(files.console, server, files, options) as proxy:
        yield proxy
    lines = files.console.read_bytes().splitlines()
    expected = {_REQUEST: workload.calls, _SERVER_MESSAGE: workload.units}
    if workload.request:
        expected[_CLIENT_MESSAGE] = workload.calls
    if has_option("--quiet"):
        expected[_VERDICT] = workload.opened
    _must_have(lines, expected)


@contextmanager
def into(path: Path, server: int, files: Files, options: tuple[str, ...]) -> Iterator[Proxy]:
    """`mitm-demo proxy` with its console into a file, whatever it is to show."""
    with (
        path.open("wb") as output,
        started(server, options, output.fileno(), files.directory / "errors") as (proxy, _),
    ):
        yield proxy


def _must_have(lines: list[bytes], expected: dict[re.Pattern[bytes], int]) -> None:
    for pattern, count in expected.items():
        found = sum(1 for line in lines if pattern.search(line))
        # Who tries whether it listens is a client as well; and so is who tries a rewriting.
        if not count <= found <= count + (2 if pattern is _VERDICT else 0):
            raise UserError(f"{found} lines with {pattern.pattern!r} where {count} are due")


@contextmanager
def on_terminal(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """`mitm-demo proxy` on a terminal, whose emulator takes what it is given."""
    master, slave = pty.openpty()
    os.set_blocking(master, True)
    shown = bytearray()
    reader = threading.Thread(target=_drain, args=(master, shown))
    reader.start()
    try:
        os.environ.setdefault("TERM", "xterm-256color")
        _resize(slave)
        with started(server, (), slave, files.directory / "errors") as (proxy, _):
            yield proxy
    finally:
        os.close(slave)
        reader.join()
        os.close(master)
    lines = [_STYLE.sub(b"", line) for line in bytes(shown).splitlines()]
    _must_have(lines, {_VERDICT: workload.opened} if has_option("--quiet") else {})
    if not any(map(_REQUEST.search, lines)):
        raise UserError("the terminal has not been shown any call")


def _drain(terminal: int, shown: bytearray) -> None:
    """Read what is shown until nobody has the terminal any more (EIO)."""
    try:
        while data := os.read(terminal, 65_536):
            shown += data
    except OSError:
        pass


def _resize(terminal: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))


@contextmanager
def quiet(
    server: int, workload: Workload, files: Files, *, options: tuple[str, ...] = ()
) -> Iterator[Proxy]:
    """`mitm-demo proxy --quiet`: a verdict for each connection."""
    with into(files.console, server, files, ("--quiet", *options)) as proxy:
        yield proxy
    _must_have(files.console.read_bytes().splitlines(), {_VERDICT: workload.opened})


@contextmanager
def logging(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The same, with a log of all events."""
    log = files.directory / "events.jsonl"
    with quiet(server, workload, files, options=("--events", str(log))) as proxy:
        yield proxy
    seen: Counter[str] = Counter()
    with log.open() as lines:
        for line in lines:
            event = json.loads(line)
            if event["event"] == "headers":
                seen[event["kind"]] += 1
            elif event["event"] == "message" and "value" in event:
                seen[f"{event['direction']} message"] += 1
    expected = dict.fromkeys(_PARTS, workload.calls) | {"server message": workload.units}
    if not expected.items() <= seen.items():
        raise UserError(f"the log should hold {expected}, and holds {dict(seen)}")


@contextmanager
def capturing(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The same, with a capture of all packets."""
    capture = files.directory / "calls.pcapng"
    with quiet(server, workload, files, options=("--pcap", str(capture))) as proxy:
        yield proxy
    # On both legs.
    least = 2 * workload.calls * (len(workload.body) + len(workload.answer))
    if capture.stat().st_size < least:
        raise UserError(f"{capture.stat().st_size} bytes of a capture where {least} are due")


@contextmanager
def rewriting(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """The same, changing every request: an HTTP/2 endpoint on both sides."""
    with into(files.console, server, files, ("--quiet", "--rewrite", _RULE)) as proxy:
        if not workload.answers and workload.body.endswith(_BEFORE):
            answer = fresh.answer(proxy.port, workload, list(tools.HEADERS))
            if not answer.endswith(_AFTER):
                raise UserError("what was to be rewritten came as it was")
        yield proxy


# The peers


@contextmanager
def haproxy(server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """haproxy, which speaks HTTP/2 and TLS on both sides, in one thread."""
    port = tools.free_port()
    config = files.directory / "haproxy.cfg"
    config.write_text(f"""\
global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 30s
    timeout client 300s
    timeout server 300s
    option http-no-delay
frontend clients
    bind {tools.LOOPBACK}:{port} ssl crt {files.both("attacker")} alpn h2
    default_backend server
backend server
    http-reuse never
    server server {tools.LOOPBACK}:{server} ssl verify none alpn h2
""")
    program = peers.haproxy()
    assert program
    with tools.running([program, "-db", "-f", str(config)], port) as pid:
        yield Proxy(pid, port)


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
def mitmproxy(
    mitmdump: Path, options: tuple[str, ...], server: int, workload: Workload, files: Files
) -> Iterator[Proxy]:
    """mitmproxy, with its console into a file."""
    port = tools.free_port()
    command = [str(mitmdump), *options, "--set", f"confdir={files.directory / 'mitmproxy'}"]
    command += ["--mode", f"reverse:https://{tools.LOOPBACK}:{server}", "--ssl-insecure"]
    command += ["--listen-host", tools.LOOPBACK, "--listen-port", str(port)]
    command += ["--certs", str(files.both("attacker"))]
    with files.console.open("wb") as output, tools.running(command, port, output) as pid:
        yield Proxy(pid, port)
        settle(pid)
    if not options:
        _must_have(files.console.read_bytes().splitlines(), {re.compile(rb" << "): workload.calls})


@contextmanager
def grpc_dump(program: Path, server: int, workload: Workload, files: Files) -> Iterator[Proxy]:
    """grpc-dump of grpc-tools, with what it prints into a file."""
    port = tools.free_port()
    cert, key = files.chain("attacker")
    # It verifies the server, and waits for ever for one that it does not trust.
    command = ["env", f"SSL_CERT_FILE={files.directory / 'ca.pem'}", str(program)]
    command += [f"--port={port}", f"--cert={cert}", f"--key={key}"]
    command += [f"--destination=localhost:{server}"]
    with files.console.open("wb") as output, tools.running(command, port, output) as pid:
        yield Proxy(pid, port)


def settle(pid: int) -> None:
    """Wait until a process has done what it still had to do: it may write after it was asked."""
    before = usage.cpu_seconds(pid)
    for _ in range(100):
        time.sleep(0.05)
        now = usage.cpu_seconds(pid)
        if now - before < 0.002:
            return
        before = now


STRAIGHT = Way("straight to the server")
SILENT = Way("interceptor, no output", interceptor, "all", kind="own")
FILE = Way("proxy, into a file", into_file, "all", kind="own")
TERMINAL = Way("proxy, on a terminal", on_terminal, "what is shown", kind="own")
QUIET = Way("proxy --quiet", quiet, "none", kind="own")
LOGGING = Way("proxy --quiet --events", logging, "all", kind="own")
CAPTURING = Way("proxy --quiet --pcap", capturing, "none", kind="own")
REWRITING = Way("proxy --quiet --rewrite", rewriting, "all", slow=4, kind="own")
HAPROXY = Way("haproxy", haproxy, "none", kind="peer")
NGHTTPX = Way("nghttpx", nghttpx, "none", kind="peer")
MITMDUMP, MITMDUMP_QUIET, GRPC_DUMP = "mitmdump, into a file", "mitmdump --quiet", "grpc-dump"


def mitmproxy_ways(mitmdump: Path) -> list[Way]:
    """The ways through mitmproxy.

    Args:
        mitmdump: its program.
    """
    return [
        Way(name, partial(mitmproxy, mitmdump, options), "none", slow=20, kind="peer")
        for name, options in ((MITMDUMP, ()), (MITMDUMP_QUIET, ("--quiet",)))
    ]


def grpc_dump_way(program: Path) -> Way:
    """The way through grpc-dump."""
    return Way(GRPC_DUMP, partial(grpc_dump, program), "all", slow=10, kind="peer")


# Those that need an option which `mitm-demo proxy` may not have yet.
_QUIET_ONES = (QUIET, LOGGING, CAPTURING, REWRITING)
OWN = (SILENT, FILE, TERMINAL, *_QUIET_ONES)

# Where each way is given minutes: what the others would say of it is said of the small calls.
FEW = (STRAIGHT.name, SILENT.name, FILE.name, QUIET.name, HAPROXY.name, NGHTTPX.name, MITMDUMP)
