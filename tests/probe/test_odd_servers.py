"""Servers that are none, or answer oddly: told in a line, or nothing is concluded from it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from mitm.errors import UserError
from tests.probe.lab import Lab, finding, probed
from tests.probe.servers import Caller, Rules, by_name, serving


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port that does this with each connection."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def garbage(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def http(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("answer", [garbage, http])
def test_what_speaks_no_tls_is_told_in_a_line(
    answer: Callable[[socket.socket], None], lab: Lab
) -> None:
    with answering(answer) as port, pytest.raises(UserError, match="no TLS handshake with it"):
        probed(lab, port)


def test_a_server_without_tls_is_told_to_be_open(lab: Lab) -> None:
    # Its first words are the same with TLS and without.
    def plain(connection: socket.socket) -> None:
        if connection.recv(3, socket.MSG_PEEK) == b"PRI":
            with socket.create_connection(("127.0.0.1", behind)) as onwards:
                onwards.sendall(connection.recv(65_536))
                while data := onwards.recv(65_536):
                    connection.sendall(data)
        else:
            garbage(connection)

    rules = Rules(plaintext=True, allow=lambda caller: True)
    with (
        serving(lab, rules) as behind,
        answering(plain) as port,
        pytest.raises(UserError, match="speaks no TLS, and answers in plaintext"),
    ):
        probed(lab, port)


def context(lab: Lab, verify: ssl.VerifyMode) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(lab.folder / "server.pem", lab.folder / "server.key")
    made.load_verify_locations(lab.folder / "clients.pem")
    made.verify_mode = verify
    return made


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answered HTTP/1, not HTTP/2"),
        (b"\0" * 200, "it answered what is not HTTP/2"),
        (b"", "closed without an alert"),
    ],
)
def test_what_speaks_no_http_2_proves_nothing(says: bytes, reason: str, lab: Lab) -> None:
    def answer(connection: socket.socket) -> None:
        with context(lab, ssl.CERT_REQUIRED).wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)
            tls.sendall(says)

    with answering(answer) as port:
        report = probed(lab, port)
    assert not report.conclusive
    assert reason in report.controls[0].reason
    assert report.findings == ()


def test_a_server_that_holds_its_peace_is_not_taken_for_careful(lab: Lab) -> None:
    # Whoever shows nothing is left waiting.
    waits = threading.Event()

    def allow(caller: Caller) -> bool:
        return by_name(caller) or waits.wait(10)

    with serving(lab, Rules(verify=ssl.CERT_OPTIONAL, allow=allow)) as port:
        report = probed(lab, port, only=["no-certificate"], seconds=1.0)
        waits.set()
    found = finding(report, "no-certificate")
    assert (found.outcome, report.conclusive) == ("inconclusive", True)
    assert "no answer within 1 s" in found.reason
