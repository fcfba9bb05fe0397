"""Real gRPC clients and a real gRPC server, with the interceptor between them."""

import asyncio
import contextlib
import queue
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import pytest

from mitm import content, events
from mitm.address import Address
from mitm.events import Event
from mitm.proxy import Interceptor
from mitm.wire.http2 import PROTOCOLS
from tests.proxy.stage import LIMIT, LOCALHOST, LoopFactory, Props, Seen, presenting, run

sys.path.insert(0, str(content.PROTO))

import user_service

SERVICE = "/users.v1.UserService"


class Users:
    def GetUser(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.id != 1:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such user")
        return user_service.User(id=1, name="Nicolas", email="nicolas@example.com")

    def ListUsers(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        for number in range(3):
            yield user_service.User(id=number)

    def ImportUsers(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
        return user_service.ImportUsersResponse(imported=len(list(requests)))

    def Chat(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        for message in requests:
            yield user_service.ChatMessage(text=message.text.upper())


class Played(NamedTuple):
    interceptor: Interceptor
    seen: Seen
    ends: contextlib.ExitStack

    def channel(self, roots: bytes, name: str = "localhost") -> grpc.Channel:
        """A client's channel of its own, with these roots."""
        options = (
            ("grpc.ssl_target_name_override", name),
            ("grpc.use_local_subchannel_pool", 1),
        )
        credentials = grpc.ssl_channel_credentials(roots)
        return self.ends.enter_context(
            grpc.secure_channel(str(self.interceptor.address), credentials, options)
        )


@contextlib.asynccontextmanager
async def played(
    props: Props, *, misnamed: bool = False, tls: bool = True
) -> AsyncIterator[Played]:
    """An interceptor before a gRPC server that runs in threads."""
    server = grpc.server(ThreadPoolExecutor(16))
    user_service.add_to_server(Users(), server)
    if tls:
        credentials = grpc.ssl_server_credentials([(props.genuine.key_pem, props.genuine.pem)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    seen = Seen()
    chain = props.misnamed if misnamed else props.forged
    try:
        async with Interceptor(
            listen=LOCALHOST,
            upstream=Address("127.0.0.1", port),
            choose=presenting(chain),
            schema=props.schema,
            on_event=seen,
        ) as interceptor:
            with contextlib.ExitStack() as ends:
                yield Played(interceptor, seen, ends)
            await interceptor.drain(LIMIT)
    finally:
        await asyncio.to_thread(server.stop(None).wait)


def get_user(channel: grpc.Channel, number: int = 1) -> Any:
    stub = user_service.UserServiceStub(channel)
    return stub.GetUser(
        user_service.GetUserRequest(id=number),
        timeout=LIMIT,
        metadata=(("authorization", "Bearer demo"),),
    )


def list_users(channel: grpc.Channel) -> Any:
    stub = user_service.UserServiceStub(channel)
    return list(stub.ListUsers(user_service.ListUsersRequest(), timeout=LIMIT))


def import_users(channel: grpc.Channel) -> Any:
    stub = user_service.UserServiceStub(channel)
    users = (user_service.User(id=number) for number in (7, 8))
    return stub.ImportUsers(users, timeout=LIMIT)


def chat(channel: grpc.Channel) -> Any:
    stub = user_service.UserServiceStub(channel)
    texts = (user_service.ChatMessage(text=text) for text in ("one", "two"))
    return list(stub.Chat(texts, timeout=LIMIT))


def refused(channel: grpc.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as error:
        get_user(channel)
    code: grpc.StatusCode = error.value.code()
    return code


def story(seen: Seen, direction: str) -> list[object]:
    """One direction of one call, as it was seen: kinds of header blocks, and messages."""
    told: list[object] = []
    for event in seen.events:
        if isinstance(event, events.Headers) and event.direction == direction:
            told.append(event.kind)
        if isinstance(event, events.Message) and event.direction == direction:
            told.append(event.value)
    return told


NICOLAS = {"id": "1", "name": "Nicolas", "email": "nicolas@example.com"}


@pytest.mark.parametrize(
    ("method", "call", "asked", "answered"),
    [
        ("GetUser", get_user, [{"id": "1"}], [NICOLAS]),
        ("ListUsers", list_users, [{}], [{}, {"id": "1"}, {"id": "2"}]),
        ("ImportUsers", import_users, [{"id": "7"}, {"id": "8"}], [{"imported": 2}]),
        ("Chat", chat, [{"text": "one"}, {"text": "two"}], [{"text": "ONE"}, {"text": "TWO"}]),
    ],
)
def test_a_call_of_each_kind_is_read_in_whole_and_in_order(
    props: Props,
    loop: LoopFactory,
    method: str,
    call: Callable[[grpc.Channel], Any],
    asked: list[object],
    answered: list[object],
) -> None:
    async def main() -> None:
        async with played(props) as play:
            channel = play.channel(props.attacker_ca.read_bytes())
            await asyncio.to_thread(call, channel)
            trailers = await play.seen.wait(events.Headers, kind="trailers")
            assert dict(trailers.headers)["grpc-status"] == "0"
        seen = play.seen
        assert story(seen, "client") == ["request", *asked]
        assert story(seen, "server") == ["response", *answered, "trailers"]
        assert {event.method for event in seen.all(events.Headers)} == {f"{SERVICE}/{method}"}
        assert seen.all(events.ParseFailed) == []
        kinds = [type(event) for event in seen.events[:6]]
        assert kinds == [
            events.Connected,
            events.ClientHello,
            events.UpstreamConnected,
            events.CertificatePresented,
            events.HandshakeCompleted,
            events.ApplicationData,
        ]
        assert seen.one(events.HandshakeCompleted).alpn in PROTOCOLS
        assert isinstance(seen.events[-1], events.Closed)

    run(main(), loop)


def test_metadata_is_read(props: Props) -> None:
    async def main() -> None:
        async with played(props) as play:
            await asyncio.to_thread(get_user, play.channel(props.attacker_ca.read_bytes()))
        request = play.seen.one(events.Headers, kind="request")
        assert dict(request.headers)["authorization"] == "Bearer demo"

    run(main())


def test_an_insecure_channel_is_read(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props, tls=False) as play:
            address = str(play.interceptor.address)
            with grpc.insecure_channel(address) as channel:
                await asyncio.to_thread(get_user, channel)
        assert play.seen.one(events.Plaintext)
        assert story(play.seen, "server") == ["response", NICOLAS, "trailers"]
        assert not play.seen.one(events.ApplicationData, direction="client").encrypted

    run(main(), loop)


def test_many_streams_on_many_connections_are_told_apart(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props) as play:
            channels = [play.channel(props.attacker_ca.read_bytes()) for _ in range(4)]
            calls = [get_user, list_users, import_users, chat] * 4

            def use(channel: grpc.Channel) -> None:
                with ThreadPoolExecutor(len(calls)) as pool:
                    for done in [pool.submit(call, channel) for call in calls]:
                        done.result(LIMIT)

            await asyncio.gather(*(asyncio.to_thread(use, channel) for channel in channels))
        seen = play.seen
        assert seen.all(events.ParseFailed) == []
        of_a_call: dict[tuple[int, int], list[Event]] = {}
        for event in seen.events:
            if isinstance(event, events.Headers | events.Message):
                of_a_call.setdefault((event.connection, event.stream), []).append(event)
        assert len(of_a_call) == len(channels) * len(calls)
        messages = {"GetUser": 2, "ListUsers": 4, "ImportUsers": 3, "Chat": 4}
        for told in of_a_call.values():
            (method,) = {
                event.method for event in told if isinstance(event, events.Headers | events.Message)
            }
            found = sum(isinstance(event, events.Message) for event in told)
            assert found == messages[method.rpartition("/")[2]]
        assert {connection for connection, _ in of_a_call} == {1, 2, 3, 4}

    run(main(), loop)


def test_an_error_without_a_response_is_trailers_only(props: Props) -> None:
    async def main() -> None:
        async with played(props) as play:
            channel = play.channel(props.attacker_ca.read_bytes())
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(get_user, channel, 404)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
        trailers = play.seen.one(events.Headers, direction="server")
        assert (trailers.kind, trailers.end_stream) == ("trailers-only", True)
        assert dict(trailers.headers)["grpc-status"] == "5"
        assert dict(trailers.headers)["grpc-message"] == "no such user"
        assert play.seen.all(events.Message, direction="server") == []

    run(main())


def test_a_long_conversation_is_seen_as_it_goes_on_and_its_end_by_cancellation(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with played(props) as play:
            stub = user_service.UserServiceStub(play.channel(props.attacker_ca.read_bytes()))
            said: queue.SimpleQueue[Any] = queue.SimpleQueue()
            call = stub.Chat(iter(said.get, None), timeout=LIMIT)
            for text in ("first", "second", "third"):
                # Nothing more is said before this was seen, asked and answered.
                said.put(user_service.ChatMessage(text=text))
                await play.seen.wait(
                    events.Message, direction="client", value={"text": text}, stream=1
                )
                await play.seen.wait(
                    events.Message, direction="server", value={"text": text.upper()}, stream=1
                )
                assert (await asyncio.to_thread(next, call)).text == text.upper()
            assert play.seen.all(events.Frame, type="RST_STREAM") == []
            assert play.seen.all(events.Headers, kind="trailers") == []
            call.cancel()
            cancelled = await play.seen.wait(events.Frame, type="RST_STREAM", direction="client")
            assert (cancelled.stream, cancelled.detail) == (1, "CANCEL")
            said.put(None)

    run(main(), loop)


def test_a_message_that_is_not_what_the_descriptor_says_is_shown_raw_and_relayed(
    props: Props,
) -> None:
    rubbish = b"\xff\xff\xff not a GetUserRequest"

    async def main() -> None:
        async with played(props) as play:
            channel = play.channel(props.attacker_ca.read_bytes())
            call: Any = channel.unary_unary(f"{SERVICE}/GetUser")
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(call, rubbish, LIMIT)
            # The server has received it, and could make no more of it.
            assert "deserializ" in (error.value.details() or "")
        message = play.seen.one(events.Message, direction="client")
        assert (message.value, message.raw, message.size) == (None, rubbish, len(rubbish))
        assert play.seen.all(events.ParseFailed) == []

    run(main())


# How grpcio leaves


def test_grpcio_that_verifies_leaves_in_the_handshake_without_an_alert(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with played(props) as play:
            channel = play.channel(props.lab_ca.read_bytes())
            code = await asyncio.to_thread(refused, channel)
            assert code == grpc.StatusCode.UNAVAILABLE
            closed = await play.seen.closed()
        assert (closed.by, closed.phase) == ("client", "handshake")
        assert closed.how in ("eof", "reset")
        for kind in (events.Alert, events.HandshakeCompleted, events.ApplicationData):
            assert play.seen.all(kind) == []

    run(main(), loop)


def test_its_twin_that_trusts_the_attacker_is_read(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props) as play:
            channel = play.channel(props.attacker_ca.read_bytes())
            assert (await asyncio.to_thread(get_user, channel)).name == "Nicolas"
        assert play.seen.one(events.HandshakeCompleted)
        assert story(play.seen, "client") == ["request", {"id": "1"}]
        assert play.seen.all(events.Alert) == []
        assert play.seen.one(events.Closed).phase == "established"

    run(main(), loop)


def test_grpcio_checks_the_name_after_the_handshake_and_leaves_without_a_byte(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with played(props, misnamed=True) as play:
            channel = play.channel(props.attacker_ca.read_bytes())
            assert await asyncio.to_thread(refused, channel) == grpc.StatusCode.UNAVAILABLE
            closed = await play.seen.closed()
        assert (closed.by, closed.phase, closed.client_bytes) == ("client", "established", 0)
        assert play.seen.all(events.HandshakeCompleted) != []
        assert play.seen.all(events.ApplicationData, direction="client") == []
        assert play.seen.all(events.Alert) == []

    run(main(), loop)


def test_its_twin_that_expects_that_name_is_read(props: Props) -> None:
    async def main() -> None:
        async with played(props, misnamed=True) as play:
            channel = play.channel(props.attacker_ca.read_bytes(), "other.example")
            assert (await asyncio.to_thread(get_user, channel)).name == "Nicolas"
        assert play.seen.one(events.ClientHello).server_name == "other.example"
        assert story(play.seen, "client") == ["request", {"id": "1"}]

    run(main())
