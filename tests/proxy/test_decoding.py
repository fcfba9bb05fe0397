"""What is told of the messages of real stacks: compressed ones, without descriptors, errors."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from mitm import events
from mitm.address import Address
from mitm.messages import Schema
from mitm.messages.guess import guess
from mitm.proxy import Interceptor
from tests.proxy.stage import LIMIT, LOCALHOST, LoopFactory, Props, Seen, a_stage, run
from tests.proxy.stage import client_context as client_tls
from tests.proxy.stage import server_context as server_tls
from tests.proxy.test_watcher import READ, WEB_REQUEST, WEB_RESPONSE, messages

GET_USER = "/users.v1.UserService/GetUser"
# GetUserRequest(id=1) and User(id=1, name=400 times "Nicolas"), by the protobuf encoding guide.
REQUEST = b"\x08\x01"
NAME = 400 * "Nicolas"
USER = b"\x08\x01\x12\xf0\x15" + NAME.encode()


def _answer(_: bytes, context: grpc.ServicerContext) -> bytes:
    if ("fail", "yes") in context.invocation_metadata():
        detail = AnyMessage(type_url="type.googleapis.com/users.v1.User", value=b"\x08\x07")
        # google.rpc.Status, by the protobuf encoding guide
        wire = detail.SerializeToString()
        status = b"\x08\x05\x12\x04none\x1a" + bytes([len(wire)]) + wire
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.NOT_FOUND, "Jörg is not here")
    return USER


@contextlib.asynccontextmanager
async def _watched(
    schema: Schema | None, compression: grpc.Compression
) -> AsyncIterator[tuple[Seen, Address]]:
    """An interceptor before a server that compresses, in plaintext."""
    handler: Any = grpc.unary_unary_rpc_method_handler(_answer)
    server = grpc.server(ThreadPoolExecutor(1), compression=compression)
    methods = {"GetUser": handler}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("users.v1.UserService", methods),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    seen = Seen()
    options: dict[str, Any] = {"schema": schema} if schema else {}

    def nobody(_: object) -> Any:
        raise AssertionError("nobody asked for a certificate")

    try:
        async with Interceptor(
            listen=LOCALHOST,
            upstream=Address("127.0.0.1", port),
            choose=nobody,
            on_event=seen,
            **options,
        ) as interceptor:
            yield seen, interceptor.address
            await interceptor.drain(LIMIT)
    finally:
        await asyncio.to_thread(server.stop(None).wait)


def _call(address: Address, compression: grpc.Compression, *metadata: tuple[str, str]) -> bytes:
    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(str(address), options, compression=compression) as channel:
        call: Any = channel.unary_unary(GET_USER)
        answer: bytes = call(REQUEST + 100 * b"\x08\x01", timeout=LIMIT, metadata=metadata)
        return answer


def _told(seen: Seen) -> list[events.Message]:
    return [event for event in seen.events if isinstance(event, events.Message)]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_what_grpcio_compresses_is_read(
    props: Props, loop: LoopFactory, compression: grpc.Compression
) -> None:
    async def main() -> Seen:
        async with _watched(props.schema, compression) as (seen, address):
            assert await asyncio.to_thread(_call, address, compression) == USER
        return seen

    asked, answered = _told(run(main(), loop))
    name = compression.name.lower()
    assert (asked.compressed, asked.encoding) == (True, name)
    assert (answered.compressed, answered.encoding) == (True, name)
    assert answered.size < len(USER)
    assert answered.decompressed_size == len(USER)
    assert asked.value == {"id": "1"}
    assert answered.value == {"id": "1", "name": NAME}
    assert {asked.decoded_by, answered.decoded_by} == {"descriptors"}


def test_without_descriptors_messages_are_guessed(loop: LoopFactory) -> None:
    async def main() -> Seen:
        async with _watched(None, grpc.Compression.NoCompression) as (seen, address):
            await asyncio.to_thread(_call, address, grpc.Compression.NoCompression)
        return seen

    _, answered = _told(run(main(), loop))
    assert (answered.type, answered.decoded_by, answered.raw) == ("", "guess", None)
    assert answered.value == {"1": 1, "2": NAME} == guess(USER)[0]


def test_an_error_is_told_with_its_details(props: Props, loop: LoopFactory) -> None:
    async def main() -> Seen:
        async with _watched(props.schema, grpc.Compression.NoCompression) as (seen, address):
            with pytest.raises(grpc.RpcError):
                await asyncio.to_thread(
                    _call, address, grpc.Compression.NoCompression, ("fail", "yes")
                )
        return seen

    trailers = [
        event
        for event in run(main(), loop).events
        if isinstance(event, events.Headers) and event.direction == "server" and event.end_stream
    ]
    (last,) = trailers
    assert dict(last.headers)["grpc-status"] == "5"
    assert last.details == {
        "code": 5,
        "message": "none",
        "details": [{"@type": "type.googleapis.com/users.v1.User", "id": "7"}],
    }
    value = dict(last.headers)["grpc-status-details-bin"]
    assert base64.b64decode(value + "==").startswith(b"\x08\x05")


def test_grpc_web_over_http_1_1_and_tls_is_read_and_relayed(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> Seen:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_tls(alpn=("http/1.1",)), server_tls(props.genuine, alpn=("http/1.1",))
            )
            await client.send(WEB_REQUEST)
            assert await server.read_exactly(len(WEB_REQUEST)) == WEB_REQUEST
            await server.send(WEB_RESPONSE)
            assert await client.read_exactly(len(WEB_RESPONSE)) == WEB_RESPONSE
            return stage.seen

    assert messages(run(main(), loop).events) == READ
