"""Programs that end oddly, or not at all: their endings are a matter of processes, not functions.

Run as `python -c BOOT NAME {host} {port} {name} {ca} {pin}`, where NAME is a function of this
module. With the genuine certificate each of them makes a proper call.
"""

import contextlib
import os
import resource
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.audit.hand_made import (
    OPENING,
    Connection,
    Left,
    call,
    careless,
    check_health,
    correct,
    open_http2,
    unverifying,
    verifying,
)

BOOT = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from tests.audit import odd_programs; odd_programs.main()"
)

# Where a child that is left behind says who it is, so that it can be ended.
PID_FILE = "TEST_PID_FILE"

# Far longer than anybody waits for it, and not for ever if nobody ends it.
_CHILD = "import os, sys, time; {first}; time.sleep({seconds})"
_WRITE_PID = f"open(os.environ[{PID_FILE!r}], 'a').write(f'{{os.getpid()}}\\n')"


class Server(NamedTuple):
    """What the program is told."""

    host: str
    port: int
    name: str
    ca_file: Path
    pin_file: Path


def refuses_with_exit_code_0(server: Server) -> None:
    """Refuses, and says that all went well."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        correct(server)
    print("user: Ada")


def opens_with_exit_code_0(server: Server) -> None:
    """Opens HTTP/2, makes no call, and says that all went well."""
    with Connection(server, unverifying()).handshake() as connection:
        open_http2(connection)
        if connection.genuine:
            connection.send(call())
            connection.receive()
    print("user: Ada")


def aborts_after_handshake(server: Server) -> None:
    """Is killed by an assertion that fails right after the handshake."""
    _dies(server, signal.SIGABRT, b"")


def crashes_after_handshake(server: Server) -> None:
    """Is killed by its own fault right after the handshake."""
    _dies(server, signal.SIGSEGV, b"")


def aborts_after_opening(server: Server) -> None:
    """Is killed by an assertion that fails with HTTP/2 open."""
    _dies(server, signal.SIGABRT, OPENING)


def aborts_after_call(server: Server) -> None:
    """Is killed by an assertion that fails once it has called."""
    _dies(server, signal.SIGABRT, OPENING + call())


def _dies(server: Server, number: signal.Signals, last_words: bytes) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(server, unverifying()).handshake()
    if connection.genuine:
        connection.ask()
        connection.notify()
        return
    if last_words:
        connection.send(last_words)
    os.kill(os.getpid(), number)


def leaves_a_child(server: Server) -> None:
    """Refuses, and leaves a child in a session of its own, which goes on."""
    _leaves(server, _CHILD.format(first=_WRITE_PID, seconds=60))


def leaves_no_child(server: Server) -> None:
    """Refuses, and has had a child in a session of its own, which has ended."""
    _leaves(server, _CHILD.format(first="pass", seconds=0), wait=True)


def leaves_a_child_that_calls(server: Server) -> None:
    """Refuses, and leaves a child in a session of its own, which calls later."""
    again = [sys.executable, "-c", BOOT, "calls_later", *map(str, server)]
    try:
        correct(server)
    except ssl.SSLCertVerificationError:
        # Not waited for, and so no zombie of this process: it is about to end.
        subprocess.Popen(again, start_new_session=True, stdout=subprocess.DEVNULL)
        sys.exit(1)


def calls_later(server: Server) -> None:
    """Calls whoever is there, once its parent has gone."""
    exec(_WRITE_PID)  # noqa: S102
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.01)
    time.sleep(0.2)
    careless(server)


def _leaves(server: Server, program: str, *, wait: bool = False) -> None:
    try:
        correct(server)
    except ssl.SSLCertVerificationError:
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if wait:
            child.wait()
        sys.exit(1)


def stays_with_http2_open(server: Server) -> None:
    """Opens HTTP/2, and waits without an end for whatever may come."""
    with Connection(server, unverifying()).handshake() as connection:
        open_http2(connection)
        if connection.genuine:
            connection.send(call())
            connection.receive()
            return
        while connection.receive():
            pass


def refuses_for_ever(server: Server) -> None:
    """Refuses again and again, without an end."""
    while True:
        try:
            return correct(server)
        except ssl.SSLCertVerificationError:
            time.sleep(0.02)


def two_kinds_and_stops_at_the_first(server: Server) -> None:
    """Checks health over HTTP/1.1 and verifies that; would not verify its call, but never came."""
    check_health(server, verifying(server, "http/1.1"))
    careless(server)


def two_kinds_both_refused(server: Server) -> None:
    """Checks health over HTTP/1.1 and calls whatever came of it, and verifies both."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        check_health(server, verifying(server, "http/1.1"))
    correct(server)


def main() -> None:
    """Be the program that the first argument names."""
    name, host, port, expected, ca, pin = sys.argv[1:]
    server = Server(host, int(port), expected, Path(ca), Path(pin))
    try:
        globals()[name](server)
    except (Left, ssl.SSLCertVerificationError) as error:
        sys.exit(f"left: {error}")
