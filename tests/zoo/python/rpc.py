"""One call of gRPC, over what the clients of the zoo have checked: with `ssl` and h2, or grpcio."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import grpc
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase

SECONDS = 10.0

METHOD = "/users.v1.UserService/GetUser"

_REQUEST = {
    ":method": "POST",
    ":scheme": "https",
    ":authority": "server",
    ":path": METHOD,
    "content-type": "application/grpc",
    "te": "trailers",
    "authorization": "Bearer zoo",
}


def address(target: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 address stands in brackets."""
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def unverifying() -> ssl.SSLContext:
    """A context that takes every certificate, for those that look at it themselves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def verifying(ca: str) -> ssl.SSLContext:
    """A context that verifies as it should."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    # Only names that are meant as such, RFC 9525 section 2.
    context.hostname_checks_common_name = False
    return context


@contextlib.contextmanager
def connected(target: str, context: ssl.SSLContext, name: str) -> Iterator[ssl.SSLSocket]:
    """A TLS connection, while the block lasts."""
    with (
        socket.create_connection(address(target), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        yield connection


def sent_chain(connection: ssl.SSLSocket) -> list[x509.Certificate]:
    """The certificates that the server has sent, leaf first."""
    # Public since Python 3.13, and there before.
    sent = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [x509.load_pem_x509_certificate(c.public_bytes().encode()) for c in sent]


class Http2:
    """HTTP/2 on a connection, for one call after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._http2 = h2.connection.H2Connection()
        self._http2.initiate_connection()

    def ask(self) -> None:
        """Make the call, and wait for its end.

        Raises:
            ConnectionError: the server has ended the connection, or is about to.
        """
        try:
            stream = self._http2.get_next_available_stream_id()
            self._http2.send_headers(stream, list(_REQUEST.items()))
            self._http2.send_data(stream, bytes(5), end_stream=True)
        except h2.exceptions.ProtocolError:
            raise ConnectionError("the server has said that it goes away") from None
        self._connection.sendall(self._http2.data_to_send())
        while data := self._connection.recv(65536):
            events = self._http2.receive_data(data)
            if any(isinstance(event, h2.events.StreamEnded) for event in events):
                return
        raise ConnectionError("the server ended the connection before its answer")


def ask(connection: socket.socket) -> None:
    """Make one call on a connection."""
    Http2(connection).ask()


def call(target: str, context: ssl.SSLContext, name: str) -> None:
    """Connect, and make the call."""
    with connected(target, context, name) as connection:
        ask(connection)


def call_grpcio(target: str, credentials: grpc.ChannelCredentials, name: str) -> None:
    """The same with grpcio, which checks a name that is dialled more strictly than another."""
    options: list[tuple[str, str | int]] = [
        ("grpc.enable_http_proxy", 0),
        # One address after the other, also on a busy machine.
        ("grpc.happy_eyeballs_connection_attempt_delay_ms", 10_000),
    ]
    if name != address(target)[0]:
        options.append(("grpc.ssl_target_name_override", name))
    with grpc.secure_channel(target, credentials, options) as channel:
        channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=SECONDS)


class _Bytes(CodecBase):
    """Messages as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


class _Channel(Channel):
    """Remembers its connections: it lets go of one that was lost before that is closed."""

    transports: list[asyncio.WriteTransport]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.transports = []

    async def _create_connection(self) -> Any:
        protocol = await super()._create_connection()
        # One that is lost already has none any more.
        if transport := getattr(protocol.connection, "_transport", None):
            self.transports.append(transport)
        return protocol


async def call_grpclib(target: str, context: ssl.SSLContext, name: str) -> None:
    """The same with grpclib."""
    config = Configuration(ssl_target_name_override=name)
    channel = _Channel(*address(target), codec=_Bytes(), ssl=context, config=config)
    try:
        await UnaryUnaryMethod(channel, METHOD, bytes, bytes)(b"", timeout=SECONDS)
    finally:
        # `close` begins to close the connection, and there is nothing to wait for its end with.
        channel._protocol = None
        for transport in channel.transports:
            transport.abort()
        # So that the sockets are closed before the loop is.
        for _ in range(3):
            await asyncio.sleep(0)
