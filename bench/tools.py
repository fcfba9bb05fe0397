"""The load and the server that a proxy stands between: h2load and nghttpd of nghttp2.

Both are written in C and cost less than a proxy, so that it is the proxy that is measured. The
server echoes the message, or streams what a file holds, and ends with a trailer as a gRPC server
would. What it cannot do is to answer with gRPC's content type: for who insists on that there is one
in Go, `echo.go`.
"""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

from bench import fresh
from bench.workloads import Workload
from mitm.errors import UserError

LOOPBACK = "127.0.0.1"

# Debian's package for each program. Two of them are in /usr/sbin there, which not every PATH has.
PACKAGES = {
    "h2load": "nghttp2-client",
    "nghttpd": "nghttp2-server",
    "nghttpx": "nghttp2-proxy",
}
_ALSO_IN = "/usr/sbin"

# What grpcio sends beside the pseudo-headers, and the credential that the lab's clients send.
HEADERS = (
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("user-agent", "grpc-python/1.85.1 grpc-c/56.0.0 (linux; chttp2)"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
    ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
)

# What TCP has counted of itself since the machine was started (netstat(8)).
_NETSTAT = Path("/proc/net/netstat")

# Seconds.
_START_SECONDS = 20.0
_LOAD_SECONDS, _CALL_SECONDS = 60.0, 0.1
_END_SECONDS = 5.0


class Load(NamedTuple):
    """What a client saw.

    Attributes:
        seconds: for all calls.
        latencies: of each call, in milliseconds.
        delayed_acks: how often an ACK was put off, on the whole machine meanwhile.
    """

    seconds: float
    latencies: list[float]
    delayed_acks: int = 0


def find() -> dict[str, str]:
    """The path of each of the programs.

    Raises:
        UserError: one is not installed; the text says how to get it.
    """
    paths = {
        program: shutil.which(program) or shutil.which(program, path=_ALSO_IN)
        for program in PACKAGES
    }
    missing = [program for program, path in paths.items() if path is None]
    if missing:
        raise UserError(
            f"not installed: {' and '.join(missing)}: "
            f"apt install {' '.join(PACKAGES[program] for program in missing)} "
            "(elsewhere: part of nghttp2, https://nghttp2.org)"
        )
    return {program: path for program, path in paths.items() if path}


def versions() -> list[str]:
    """What the programs say of their versions, `h2load nghttp2/1.52.0`."""
    return [
        subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for path in find().values()
    ]


@contextmanager
def running(
    command: list[str], port: int, output: int | IO[bytes] = subprocess.DEVNULL
) -> Iterator[int]:
    """Run a program that listens on a port; the value is its process id.

    Args:
        output: what it prints goes there.

    Raises:
        UserError: it ended, or has not listened in time.
    """
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=silent, stdout=output, stderr=silent) as process:
        try:
            wait_for(process, port)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                # mitmproxy, now and then, with a thousand connections.
                process.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(workload: Workload, cert: Path, key: Path, root: Path) -> Iterator[int]:
    """Run nghttpd with TLS, or what the workload has in its place; the value is its port.

    Args:
        workload: what it is to answer.
        cert, key: its certificate chain, and the key to it.
        root: a directory for what it streams.
    """
    port = free_port()
    if workload.server:
        with running([workload.server, str(port), str(cert), str(key)], port):
            yield port
        return
    # Windows so wide that nobody waits for them: a server of gRPC widens its own as it needs.
    options = ["--address", LOOPBACK, "--no-content-length", "--trailer", "grpc-status: 0"]
    options += [
        "--max-concurrent-streams",
        "1000",
        "--window-bits=30",
        "--connection-window-bits=30",
    ]
    if workload.answers:
        served = root / workload.path.lstrip("/")
        served.parent.mkdir(parents=True, exist_ok=True)
        served.write_bytes(workload.answer)
        options += ["--htdocs", str(root)]
    else:
        options += ["--echo-upload"]
    with running([find()["nghttpd"], *options, str(port), str(key), str(cert)], port):
        yield port


def wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a program listens.

    Raises:
        UserError: it has ended, or its time is up.
    """
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((LOOPBACK, port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise UserError(f"does not listen: {process.args!r}") from None
            time.sleep(0.01)
        else:
            return


def load(port: int, workload: Workload, directory: Path) -> Load:
    """Make the calls of a workload.

    Args:
        port: where to, on loopback.
        workload: which calls.
        directory: for files that come and go.

    Raises:
        UserError: not all of the calls succeeded, or not over TLS 1.3 and HTTP/2, or what came
            back is not what the server sends.
    """
    if workload.anew:
        before = _delayed_acks()
        seconds, took = fresh.calls(port, workload, list(HEADERS))
        return Load(seconds, took, _delayed_acks() - before)
    log = directory / "latencies"
    log.unlink(missing_ok=True)
    before = _delayed_acks()
    done = _h2load(port, workload, directory, f"--log-file={log}")
    delayed = _delayed_acks() - before
    rate = re.search(r"^finished in .*, ([\d.]+) req/s", done.stdout, re.MULTILINE)
    expected = (
        f"{workload.calls} succeeded, 0 failed, 0 errored",
        f"{workload.calls} 2xx",
        f"({workload.calls * len(workload.answer)}) data",
        "TLS Protocol: TLSv1.3",
        "Application protocol: h2",
    )
    missing = [text for text in expected if text not in done.stdout]
    if rate is None or missing:
        said = " | ".join((done.stdout + done.stderr).splitlines())
        raise UserError(f"h2load did not report {missing or 'a rate'}: {said}")
    # When it began, its status, microseconds that it took.
    took = [int(line.split()[2]) / 1000 for line in log.read_text().splitlines()]
    return Load(workload.calls / float(rate[1]), took, delayed)


def burst(port: int, workload: Workload, directory: Path) -> int:
    """Make all connections of a workload at once, with a call on each; how many got through.

    Who is many at once may wait for longer than anybody has patience.
    """
    one_each = replace(workload, calls=workload.connections, streams=1)
    through = re.search(r"(\d+) succeeded", _h2load(port, one_each, directory).stdout)
    return int(through[1]) if through else 0


def _h2load(
    port: int, workload: Workload, directory: Path, *options: str
) -> "subprocess.CompletedProcess[str]":
    body = directory / "body"
    body.write_bytes(workload.body)
    command = [find()["h2load"], f"--clients={workload.connections}", f"--data={body}", *options]
    command += [f"--max-concurrent-streams={workload.streams}", f"--requests={workload.calls}"]
    command += [f"--header={name}: {value}" for name, value in HEADERS]
    command += [f"https://{LOOPBACK}:{port}{workload.path}"]
    limit = _LOAD_SECONDS + _CALL_SECONDS * workload.calls
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise UserError(f"h2load has not ended after {limit:.0f} s") from None


def _delayed_acks() -> int:
    names, values = [
        line.split() for line in _NETSTAT.read_text().splitlines() if line.startswith("TcpExt:")
    ]
    return int(dict(zip(names, values, strict=True))["DelayedACKs"])
