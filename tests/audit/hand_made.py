"""TLS and HTTP/2 by hand, to be cut, held back and left unfinished at will.

Nothing but the standard library is needed, so that programs which use it start at once.
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

# Generous: the machine may be busy.
SECONDS = 20.0

METHOD = b"/users.v1.UserService/GetUser"
TOKEN = b"Bearer s3cret-t0ken"

# RFC 9113 section 6.
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 4, 6, 7, 8, 9
ACK = END_STREAM = 1
END_HEADERS = 4


class Left(Exception):  # noqa: N818
    """The client's own check made it leave."""


class Server(Protocol):
    """What a client is told: an `audit.Endpoint`, or the arguments of a program."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def ca_file(self) -> Path: ...
    @property
    def pin_file(self) -> Path: ...


# HTTP/2


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame of RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def goaway(debug: bytes = b"") -> bytes:
    return frame(GOAWAY, payload=bytes(8) + debug)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OPENING = PREFACE + settings() + frame(WINDOW_UPDATE, payload=struct.pack(">I", 2**20))


def _header_block() -> bytes:
    """Literals that are not indexed (RFC 7541 section 6.2.2): the same bytes on every stream."""
    fields = {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": b"localhost",
        b":path": METHOD,
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        b"authorization": TOKEN,
    }
    return b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in fields.items()
    )


HEADER_BLOCK = _header_block()


def headers(stream: int = 1) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, HEADER_BLOCK)


def call(stream: int = 1) -> bytes:
    """A call of gRPC with an empty message."""
    return headers(stream) + frame(DATA, END_STREAM, stream, bytes(5))


# TLS


def verifying(server: Server, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.set_alpn_protocols(alpn or ("h2",))
    return context


def unverifying(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(alpn or ("h2",))
    return context


class Connection:
    """A TLS connection, for `with`; nothing is sent but by `flush`, and of that all at once.

    Args:
        server: whom to dial.
        context: what to check.
        name: what to ask for in SNI, and to expect; None for nothing.
        session: to be resumed.
    """

    def __init__(
        self,
        server: Server,
        context: ssl.SSLContext,
        name: str | None = "",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._pin = ssl.PEM_cert_to_DER_cert(server.pin_file.read_text())
        self.plain = tcp(server)
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming,
            self.outgoing,
            server_hostname=server.name if name == "" else name,
            session=session,
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.plain.close()

    def close(self) -> None:
        self.plain.close()

    @property
    def genuine(self) -> bool:
        """Whether the certificate is the one that is no forgery."""
        return self.tls.getpeercert(binary_form=True) == self._pin

    def handshake(self, *, last_flight_waits: bool = False) -> Self:
        """Complete the handshake.

        Args:
            last_flight_waits: whether the end of it goes out with what is sent next.

        Raises:
            ssl.SSLCertVerificationError: the certificate is bad. The alert is still to be sent.
            OSError: anything else is, and the connection is closed.
        """
        try:
            while not self.shaken():
                self.flush()
                self.read()
            if not last_flight_waits:
                self.flush()
        except ssl.SSLCertVerificationError:
            raise
        except OSError:
            self.close()
            raise
        return self

    def shaken(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def flush(self) -> None:
        self.plain.sendall(self.outgoing.read())

    def flush_in_single_bytes(self) -> None:
        for byte in self.outgoing.read():
            self.plain.sendall(bytes([byte]))

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def receive(self) -> bytes:
        """The next bytes; b"" at the end."""
        while True:
            try:
                return self.tls.read(65_536)
            except ssl.SSLWantReadError:
                self.read()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def read(self) -> None:
        data = self.plain.recv(65_536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def wait_for(self, kind: int, flags: int = 0) -> None:
        """Read until a frame of a kind has come, with certain flags."""
        while True:
            of, flagged = self._frame()
            if of == kind and flagged & flags == flags:
                return

    def first_of(self, *kinds: int) -> int:
        """Read until a frame of one of these kinds has come; which it is."""
        while True:
            of, _ = self._frame()
            if of in kinds:
                return of

    def _frame(self) -> tuple[int, int]:
        """The type and the flags of the next frame."""
        while len(self._unread) < 9 or len(self._unread) < 9 + self._length():
            data = self.receive()
            if not data:
                raise ConnectionError("the server has ended the connection")
            self._unread += data
        of, flagged = self._unread[3], self._unread[4]
        self._unread = self._unread[9 + self._length() :]
        return of, flagged

    def _length(self) -> int:
        return int.from_bytes(self._unread[:3])

    def ask(self, stream: int = 1) -> None:
        """Open HTTP/2, call, and wait for the answer."""
        self.send(OPENING + call(stream))
        self.wait_for(HEADERS, END_STREAM)

    # How to leave.

    def fin(self) -> None:
        """FIN, without a word of TLS; what comes is still read, or else the kernel would reset."""
        with contextlib.suppress(OSError):
            self.plain.shutdown(socket.SHUT_WR)
            while self.plain.recv(65_536):
                pass
        self.plain.close()

    def notify(self) -> None:
        """close_notify, and FIN."""
        # That the peer's own is still to come is no concern of ours.
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        with contextlib.suppress(OSError):
            self.flush()
        self.fin()

    def alert(self) -> None:
        """Send the alert of a handshake that has failed, and FIN."""
        self.flush()
        self.fin()

    def reset(self) -> None:
        reset(self.plain)


def tcp(server: Server) -> socket.socket:
    plain = socket.create_connection((server.host, server.port), SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def reset(plain: socket.socket) -> None:
    # struct linger: on, zero seconds. The close that follows sends RST in place of FIN (POSIX).
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


# Whole clients, and halves of them


def correct(server: Server, leave: Callable[[Connection], None] = Connection.alert) -> None:
    """Verify, call, and be gone.

    Args:
        server: whom to call.
        leave: what to do with a forgery.
    """
    with Connection(server, verifying(server)) as connection:
        try:
            connection.handshake()
        except ssl.SSLCertVerificationError:
            leave(connection)
            raise
        connection.ask()
        connection.notify()


def careless(server: Server) -> None:
    """Call whoever is there."""
    with Connection(server, unverifying()).handshake() as connection:
        connection.ask()
        connection.notify()


def open_http2(connection: Connection, opening: bytes = OPENING) -> None:
    """Open HTTP/2, and see that the server does."""
    connection.send(opening)
    connection.wait_for(SETTINGS)


def check_health(server: Server, context: ssl.SSLContext) -> None:
    """Ask over HTTP/1.1, on a connection of its own."""
    with Connection(server, context) as connection:
        try:
            connection.handshake()
        except ssl.SSLCertVerificationError:
            connection.alert()
            raise
        connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.receive()
        connection.notify()
