"""The load and the server that the interceptor stands between: h2load and nghttpd of nghttp2.

Both are written in C and cost less than the interceptor, so that it is the interceptor that is
measured. The server echoes the message and ends with a trailer, as a gRPC server would.
"""

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mitm.errors import UserError

LOOPBACK = "127.0.0.1"

# Debian's package for each program. nghttpd is in /usr/sbin there, which not every PATH has.
PACKAGES = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server"}
_ALSO_IN = "/usr/sbin"

METHOD = "/users.v1.UserService/GetUser"
_REQUEST = b"\x08\x01"  # GetUserRequest and User both read it: id = 1
BODY = struct.pack(">BL", 0, len(_REQUEST)) + _REQUEST

# What grpcio sends beside the pseudo-headers, and the credential that the lab's clients send.
HEADERS = (
    "content-type: application/grpc",
    "te: trailers",
    "user-agent: grpc-python/1.85.1 grpc-c/56.0.0 (linux; chttp2)",
    "grpc-accept-encoding: identity, deflate, gzip",
    "authorization: Bearer 0123456789abcdef0123456789abcdef",
)

# Seconds.
_START_LIMIT = 10.0
_LOAD_LIMIT = 300.0


class Workload(NamedTuple):
    """Unary calls: how many in all, over how many connections, with how many at once on each."""

    connections: int
    streams: int
    calls: int

    def __str__(self) -> str:
        return f"{self.connections} x {self.streams}"


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
def echo_server(cert: Path, key: Path) -> Iterator[int]:
    """Run nghttpd with TLS; the value is its port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    options = ["--address", LOOPBACK, "--echo-upload", "--no-content-length"]
    options += ["--max-concurrent-streams", "1000", "--trailer", "grpc-status: 0"]
    process = subprocess.Popen([find()["nghttpd"], *options, str(port), str(key), str(cert)])
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_LIMIT
    while True:
        try:
            socket.create_connection((LOOPBACK, port)).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def load(port: int, workload: Workload, body: Path) -> float:
    """Make calls with h2load.

    Args:
        port: where to, on loopback.
        workload: which calls.
        body: a file that holds `BODY`.

    Returns:
        Calls per second.

    Raises:
        UserError: not all of the calls succeeded, or not over TLS and HTTP/2.
    """
    command = [find()["h2load"], f"--clients={workload.connections}", f"--data={body}"]
    command += [f"--max-concurrent-streams={workload.streams}", f"--requests={workload.calls}"]
    command += [f"--header={header}" for header in HEADERS]
    command += [f"https://{LOOPBACK}:{port}{METHOD}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LOAD_LIMIT)
    rate = re.search(r"^finished in .*, ([\d.]+) req/s", done.stdout, re.MULTILINE)
    expected = (
        f"{workload.calls} succeeded, 0 failed, 0 errored",
        f"{workload.calls} 2xx",
        "TLS Protocol: TLSv1.3",
        "Application protocol: h2",
    )
    missing = [text for text in expected if text not in done.stdout]
    if rate is None or missing:
        said = " | ".join((done.stdout + done.stderr).splitlines())
        raise UserError(f"h2load did not report {missing or 'a rate'}: {said}")
    return float(rate[1])
