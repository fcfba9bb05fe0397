"""The same with grpclib, on Python's own HTTP/2 and TLS, in each version of TLS and without."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import grpclib
import pytest
from grpclib.client import (
    Channel,
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server, Stream

from mitm import events
from mitm.address import Address
from mitm.proxy import Interceptor
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    VERSIONS,
    LoopFactory,
    Props,
    Seen,
    client_context,
    presenting,
    run,
    server_context,
)
from tests.transparency.play import path

PARTS = [bytes([number]) * number * 30 for number in range(1, 101)]


class Bytes(CodecBase):  # type: ignore[misc,unused-ignore]
    """Messages as they are."""

    __content_subtype__ = "bytes"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


class Service:
    """Takes and gives `PARTS`, one by one or joined."""

    async def unary(self, stream: Stream[bytes, bytes]) -> None:
        request = await stream.recv_message()
        assert request is not None
        if request == b"refuse":
            raise grpclib.GRPCError(grpclib.Status.ABORTED, "100 % ☺")
        await stream.send_message(request)

    async def join(self, stream: Stream[bytes, bytes]) -> None:
        await stream.send_message(b"".join([part async for part in stream]))

    async def split(self, stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        for part in PARTS:
            await stream.send_message(part)

    async def echo(self, stream: Stream[bytes, bytes]) -> None:
        async for part in stream:
            await stream.send_message(part)

    def __mapping__(self) -> dict[str, Handler]:
        kinds = {
            "Unary": (self.unary, Cardinality.UNARY_UNARY),
            "Join": (self.join, Cardinality.STREAM_UNARY),
            "Split": (self.split, Cardinality.UNARY_STREAM),
            "Echo": (self.echo, Cardinality.STREAM_STREAM),
        }
        return {path(n): Handler(func, kind, bytes, bytes) for n, (func, kind) in kinds.items()}


@contextlib.asynccontextmanager
async def a_channel(
    props: Props, seen: Seen | None, version: ssl.TLSVersion | None
) -> AsyncIterator[Channel]:
    """A channel to a server, through an interceptor if there is somebody to be told."""
    codec = Bytes()
    server = Server([Service()], codec=codec)
    context = server_context(props.genuine, alpn=("h2",), version=version) if version else None
    listener = socket.create_server(LOCALHOST)
    await server.start(sock=listener, ssl=context)
    address = Address(*listener.getsockname())
    trusted = props.attacker_ca if seen else props.lab_ca
    tls = client_context(trust=trusted, alpn=("h2",), version=version) if version else None
    config = Configuration(ssl_target_name_override="localhost") if version else None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        if seen:
            interceptor = await stack.enter_async_context(
                Interceptor(
                    listen=LOCALHOST,
                    upstream=address,
                    choose=presenting(props.forged),
                    on_event=seen,
                )
            )
            stack.push_async_callback(interceptor.drain, LIMIT)
            address = interceptor.address
        channel = Channel(*address, codec=codec, ssl=tls, config=config)
        stack.callback(channel.close)
        yield channel


async def use(channel: Channel) -> None:
    """Calls of all kinds, one after the other; how they end as well."""

    def method(kind: Any, name: str) -> Any:
        return kind(channel, path(name), bytes, bytes)

    call = method(UnaryUnaryMethod, "Unary")
    for request in (b"", bytes(range(256)) * 1_000):
        assert await call(request, metadata={"x-bin": b"\x00\xff"}) == request
    assert await method(StreamUnaryMethod, "Join")(PARTS) == b"".join(PARTS)
    assert await method(UnaryStreamMethod, "Split")(b"") == PARTS
    assert await method(StreamStreamMethod, "Echo")(PARTS) == PARTS
    with pytest.raises(grpclib.GRPCError) as error:
        await call(b"refuse")
    assert (error.value.status, error.value.message) == (grpclib.Status.ABORTED, "100 % ☺")


@pytest.mark.parametrize("protocol", ["plaintext", *VERSIONS])
@pytest.mark.parametrize("intercepted", [False, True], ids=["straight", "intercepted"])
def test_calls_of_all_kinds_work(
    props: Props, loop: LoopFactory, protocol: str, intercepted: bool
) -> None:
    seen = Seen() if intercepted else None

    async def main() -> None:
        async with a_channel(props, seen, VERSIONS.get(protocol)) as channel:
            await use(channel)

    run(main(), loop)
    if seen:
        assert seen.all(events.ParseFailed) == []
        if protocol == "plaintext":
            assert seen.all(events.Plaintext) != []
        else:
            assert seen.one(events.HandshakeCompleted).version == protocol
        parts = [len(part) for part in PARTS]
        sizes = [message.size for message in seen.all(events.Message, direction="client")]
        assert sizes == [0, 256_000, *parts, 0, *parts, len(b"refuse")]
        sizes = [message.size for message in seen.all(events.Message, direction="server")]
        assert sizes == [0, 256_000, sum(parts), *parts, *parts]
