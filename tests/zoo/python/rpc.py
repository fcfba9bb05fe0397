"""One call of gRPC, over what the clients of the zoo have checked: with `ssl` and h2, or grpcio."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import grpc
import h2.connection
import h2.events
from cryptography import x509
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase

SECONDS = 10.0

METHOD = "/users.v1.UserService/GetUser"


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


def ask(connection: socket.socket) -> None:
    """Make the call, and wait for its end."""
    http2 = h2.connection.H2Connection()
    http2.initiate_connection()
    fields = {":method": "POST", ":scheme": "https", ":authority": "server", ":path": METHOD}
    fields |= {"content-type": "application/grpc", "te": "trailers", "authorization": "Bearer zoo"}
    http2.send_headers(1, list(fields.items()))
    http2.send_data(1, bytes(5), end_stream=True)
    connection.sendall(http2.data_to_send())
    while data := connection.recv(65536):
        if any(isinstance(e, h2.events.StreamEnded) for e in http2.receive_data(data)):
            return
    raise ConnectionError("the server ended the connection before its answer")


def call(target: str, context: ssl.SSLContext, name: str) -> None:
    """Connect, and make the call."""
    with connected(target, context, name) as connection:
        ask(connection)


def call_grpcio(target: str, credentials: grpc.ChannelCredentials, name: str) -> None:
    """The same with grpcio, which checks a name that is dialled more strictly than another."""
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
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


async def call_grpclib(target: str, context: ssl.SSLContext, name: str) -> None:
    """The same with grpclib."""
    config = Configuration(ssl_target_name_override=name)
    channel = Channel(*address(target), codec=_Bytes(), ssl=context, config=config)
    try:
        await UnaryUnaryMethod(channel, METHOD, bytes, bytes)(b"", timeout=SECONDS)
    finally:
        # `close` begins to close the connection, and there is nothing to wait for its end with.
        if channel._protocol:
            channel._protocol.connection._transport.abort()
        channel.close()
