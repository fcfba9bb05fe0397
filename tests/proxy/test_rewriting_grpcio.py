"""Real gRPC clients and a real gRPC server, with an interceptor between that changes things."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from mitm import content, events
from mitm.address import Address
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    PREFACE,
    LoopFactory,
    Props,
    Seen,
    a_server,
    client_context,
    presenting,
    rounded_up,
    run,
    server_context,
)
from tests.proxy.stage import Ends as Sockets

sys.path.insert(0, str(content.PROTO))

import user_service

MALLORY = "users.v1.User.name=Mallory"
NICOLAS = user_service.User(id=1, name="Nicolas", email="nicolas@example.com")
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))


class Users:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: dict[str, str | bytes] = {}
        self.time_left = 0.0
        self.cancelled = threading.Event()
        self.listening = threading.Event()

    def GetUser(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.time_left = context.time_remaining()
        if request.id == 404:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such user")
        if request.id == 4:
            return user_service.User(id=4, email="x" * 3_000_000)
        if request.id == 5:
            context.set_compression(grpc.Compression.Gzip)
            return user_service.User(id=5, email="x" * 1000)
        return NICOLAS

    def ListUsers(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        context.add_callback(self.cancelled.set)
        for number in range(300):
            yield user_service.User(id=number, name="n" * number, email="e" * 1000)

    def ImportUsers(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
        self.asked += requests
        return user_service.ImportUsersResponse(imported=len(self.asked))

    def Chat(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        context.add_callback(self.cancelled.set)
        self.listening.set()
        for message in requests:
            yield user_service.ChatMessage(text=f"You said: {message.text}")


class Played(NamedTuple):
    interceptor: Interceptor
    users: Users
    seen: Seen
    ends: contextlib.ExitStack

    def stub(self, roots: bytes, **options: Any) -> Any:
        """A client of its own, with these roots."""
        credentials = grpc.ssl_channel_credentials(roots)
        channel = grpc.secure_channel(
            str(self.interceptor.address).replace("127.0.0.1", "localhost"),
            credentials,
            OPTIONS,
            **options,
        )
        return user_service.UserServiceStub(self.ends.enter_context(channel))


@contextlib.asynccontextmanager
async def played(
    props: Props, *rules: str, impersonate: bool = False, tls: bool = True
) -> AsyncIterator[Played]:
    """An interceptor that changes things before a gRPC server that runs in threads."""
    users = Users()
    server = grpc.server(ThreadPoolExecutor(64), options=OPTIONS)
    user_service.add_to_server(users, server)
    if tls:
        credentials = grpc.ssl_server_credentials([(props.genuine.key_pem, props.genuine.pem)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    seen = Seen()
    try:
        async with Interceptor(
            listen=LOCALHOST,
            upstream=None if impersonate else Address("127.0.0.1", port),
            choose=presenting(props.forged),
            schema=props.schema,
            on_event=seen,
            rules=Rules(rules, props.schema),
            impersonate=impersonate,
        ) as interceptor:
            with contextlib.ExitStack() as ends:
                yield Played(interceptor, users, seen, ends)
            await interceptor.drain(LIMIT)
    finally:
        await asyncio.to_thread(server.stop(None).wait)
    assert seen.all(events.ParseFailed) == []
    assert [closed.reason for closed in seen.all(events.Closed) if closed.by == "attacker"] == []


def get_user(stub: Any, number: int = 1) -> list[Any]:
    return [stub.GetUser(user_service.GetUserRequest(id=number), timeout=LIMIT)]


def list_users(stub: Any) -> list[Any]:
    return list(stub.ListUsers(user_service.ListUsersRequest(), timeout=LIMIT))


def import_users(stub: Any) -> list[Any]:
    return [stub.ImportUsers((user_service.User(id=n) for n in range(100)), timeout=LIMIT)]


def chat(stub: Any) -> list[Any]:
    texts = (user_service.ChatMessage(text=text) for text in ("one", "two"))
    return list(stub.Chat(texts, timeout=LIMIT))


def silence(until: threading.Event) -> Iterator[Any]:
    """Requests that do not come."""
    until.wait()
    yield from ()


CALLS: tuple[Callable[[Any], list[Any]], ...] = (get_user, list_users, import_users, chat)


def test_every_kind_of_call_is_changed(props: Props, loop: LoopFactory) -> None:
    rules = (
        MALLORY,
        "users.v1.ImportUsersResponse.imported=-1",
        "users.v1.ChatMessage.text=" + "long " * 1000,
    )

    async def main() -> None:
        async with played(props, *rules) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            answers = [await asyncio.to_thread(call, stub) for call in CALLS]
        got, listed, imported, said = answers
        assert got == [user_service.User(id=1, name="Mallory", email="nicolas@example.com")]
        assert [user.name for user in listed] == ["Mallory"] * 300
        assert [user.id for user in listed] == list(range(300))
        assert imported == [user_service.ImportUsersResponse(imported=-1)]
        # What went into the server was changed as well.
        assert [user.name for user in play.users.asked[-100:]] == ["Mallory"] * 100
        assert [message.text for message in said] == ["long " * 1000] * 2

    run(main(), loop)


def test_the_twin_without_rules_changes_nothing(props: Props) -> None:
    async def main() -> None:
        async with played(props) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            got, _, imported, said = [await asyncio.to_thread(call, stub) for call in CALLS]
        assert got == [NICOLAS]
        assert imported == [user_service.ImportUsersResponse(imported=101)]
        assert [message.text for message in said] == ["You said: one", "You said: two"]
        assert play.seen.all(events.Rewritten) == []

    run(main())


def test_a_client_that_verifies_leaves_and_nothing_is_changed(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(get_user, play.stub(props.lab_ca.read_bytes()))
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert play.users.asked == []
        for kind in (events.Rewritten, events.ApplicationData, events.NotRewritten):
            assert play.seen.all(kind) == []

    run(main())


def test_the_server_is_told_something_else_than_the_client_said(props: Props) -> None:
    rules = ("users.v1.GetUserRequest.id=3", "metadata:x-role=admin", "metadata:authorization=")

    async def main() -> None:
        async with played(props, *rules) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            await asyncio.to_thread(
                stub.GetUser,
                user_service.GetUserRequest(id=1),
                metadata=(("x-role", "user"), ("authorization", "Bearer demo")),
                timeout=LIMIT,
            )
        assert [request.id for request in play.users.asked] == [3]
        assert play.users.metadata["x-role"] == "admin"
        assert "authorization" not in play.users.metadata
        # That the client's own word is told as well:
        assert dict(play.seen.one(events.Headers, kind="request").headers)["x-role"] == "user"
        assert play.seen.one(events.Message, direction="client").value == {"id": "1"}

    run(main())


@pytest.mark.parametrize(
    ("rule", "number", "code", "details"),
    [
        ("status=PERMISSION_DENIED:go away, ä", 1, grpc.StatusCode.PERMISSION_DENIED, "go away, ä"),
        ("status=UNAVAILABLE", 404, grpc.StatusCode.UNAVAILABLE, ""),
        (MALLORY, 404, grpc.StatusCode.NOT_FOUND, "no such user"),
    ],
)
def test_a_status_is_forged_or_passes(
    props: Props, rule: str, number: int, code: grpc.StatusCode, details: str
) -> None:
    async def main() -> None:
        async with played(props, rule) as play:
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(get_user, play.stub(props.attacker_ca.read_bytes()), number)
            assert (error.value.code(), error.value.details()) == (code, details)

    run(main())


def test_a_call_that_failed_seems_to_have_succeeded(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY, "status=OK") as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            assert await asyncio.to_thread(get_user, stub, 404) == [
                user_service.User(name="Mallory")
            ]

    run(main())


def test_a_large_message_is_changed(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            (user,) = await asyncio.to_thread(
                get_user, play.stub(props.attacker_ca.read_bytes()), 4
            )
        assert (user.name, len(user.email)) == ("Mallory", 3_000_000)

    run(main(), loop)


def test_compressed_messages_are_changed(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            stub = play.stub(props.attacker_ca.read_bytes(), compression=grpc.Compression.Gzip)
            (user,) = await asyncio.to_thread(get_user, stub, 5)
            long = user_service.User(name="n" * 1000)
            await asyncio.to_thread(stub.ImportUsers, iter([long]), LIMIT)
        assert user == user_service.User(id=5, name="Mallory", email="x" * 1000)
        assert play.users.asked[-1] == user_service.User(name="Mallory")
        # The C core does not compress what becomes no shorter by it.
        assert [m.compressed for m in play.seen.all(events.Message)] == [False, True, True, False]

    run(main())


def test_a_deadline_reaches_the_server(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            await asyncio.to_thread(get_user, stub)
            assert 0 < play.users.time_left <= rounded_up(LIMIT)
            # A chat in which nobody says anything.
            quiet = threading.Event()
            call = stub.Chat(silence(quiet), timeout=0.2)
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(list, call)
            quiet.set()
            assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert await asyncio.to_thread(play.users.cancelled.wait, LIMIT)

    run(main())


def test_a_cancelled_call_is_cancelled_at_the_server(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            quiet = threading.Event()
            call = stub.Chat(silence(quiet), timeout=LIMIT)
            assert await asyncio.to_thread(play.users.listening.wait, LIMIT)
            call.cancel()
            assert await asyncio.to_thread(play.users.cancelled.wait, LIMIT)
            quiet.set()
            # And the connection goes on.
            assert (await asyncio.to_thread(get_user, stub))[0].name == "Mallory"
        assert len(play.seen.all(events.Connected)) == 1

    run(main(), loop)


def test_many_calls_of_all_kinds_at_once(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with played(props, MALLORY) as play:
            stub = play.stub(props.attacker_ca.read_bytes())

            def use() -> None:
                with ThreadPoolExecutor(32) as pool:
                    for done in [pool.submit(call, stub) for call in CALLS * 8]:
                        for answer in done.result(LIMIT):
                            if isinstance(answer, user_service.User):
                                assert answer.name == "Mallory"

            await asyncio.to_thread(use)
        told = play.seen.all(events.Rewritten, direction="server")
        assert len(told) == 8 * (1 + 300)

    run(main(), loop)


def test_plaintext_is_changed_as_well(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY, tls=False) as play:
            with grpc.insecure_channel(str(play.interceptor.address)) as channel:
                stub = user_service.UserServiceStub(channel)
                (user,) = await asyncio.to_thread(get_user, stub)
        assert user.name == "Mallory"
        assert not play.seen.one(events.ApplicationData, direction="client").encrypted

    run(main())


# Without a server


def test_every_kind_of_call_is_answered_in_the_servers_place(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with played(props, MALLORY, "users.v1.User.id=7", impersonate=True) as play:
            stub = play.stub(props.attacker_ca.read_bytes())
            answers = [await asyncio.to_thread(call, stub) for call in CALLS]
        assert play.users.asked == []
        got, listed, imported, said = answers
        assert got == listed == [user_service.User(id=7, name="Mallory")]
        assert imported == [user_service.ImportUsersResponse()]
        assert said == [user_service.ChatMessage()]
        assert play.seen.one(events.UpstreamConnected).stand_in

    run(main(), loop)


def test_a_status_is_given_in_the_servers_place(props: Props) -> None:
    async def main() -> None:
        async with played(props, "status=UNAUTHENTICATED:who are you", impersonate=True) as play:
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(get_user, play.stub(props.attacker_ca.read_bytes()))
            assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
            assert error.value.details() == "who are you"

    run(main())


def test_a_client_that_verifies_is_not_answered_in_the_servers_place(props: Props) -> None:
    async def main() -> None:
        async with played(props, MALLORY, impersonate=True) as play:
            with pytest.raises(grpc.RpcError):
                await asyncio.to_thread(get_user, play.stub(props.lab_ca.read_bytes()))
        assert play.seen.all(events.ApplicationData) == []

    run(main())


# What stays as it is


@pytest.mark.parametrize("alpn", ["h2", "grpc-exp"])
@pytest.mark.parametrize("rules", [(), (MALLORY,)])
def test_only_with_rules_is_it_an_endpoint(props: Props, rules: tuple[str, ...], alpn: str) -> None:
    """The bytes of a client that watches itself being watched: the same, or an endpoint's own."""
    said = PREFACE + bytes.fromhex("000006040000000000 0003 00000abc".replace(" ", ""))

    async def main() -> None:
        seen = Seen()
        async with (
            Sockets() as sockets,
            a_server(sockets) as server,
            Interceptor(
                listen=LOCALHOST,
                upstream=server.address,
                choose=presenting(props.forged),
                schema=props.schema,
                on_event=seen,
                rules=Rules(rules, props.schema),
            ) as interceptor,
        ):
            client = await sockets.dial(interceptor.address)
            context = server_context(props.genuine, alpn=(alpn,))
            accepting = asyncio.create_task(server.accept(context))
            await client.handshake(client_context(alpn=(alpn,)), name="localhost")
            accepted = await accepting
            await client.send(said)
            received = b""
            while len(received) < len(said):
                received += await accepted.read()
            assert received.startswith(PREFACE)
            assert received.startswith(said) == (not rules)

    run(main())


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_what_is_not_http2_is_relayed_untouched_and_told(
    props: Props, alpn: tuple[str, ...]
) -> None:
    request, response = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"

    async def main() -> None:
        seen = Seen()
        async with (
            Sockets() as sockets,
            a_server(sockets) as server,
            Interceptor(
                listen=LOCALHOST,
                upstream=server.address,
                choose=presenting(props.forged),
                on_event=seen,
                rules=Rules([MALLORY], props.schema),
            ) as interceptor,
        ):
            client = await sockets.dial(interceptor.address)
            context = server_context(props.genuine, alpn=alpn)
            accepting = asyncio.create_task(server.accept(context))
            await client.handshake(client_context(alpn=alpn), name="localhost")
            accepted = await accepting
            await client.send(request)
            assert await accepted.read_exactly(len(request)) == request
            await accepted.send(response)
            assert await client.read_exactly(len(response)) == response
            told = await seen.wait(events.NotRewritten)
            assert told.stream == 0
            assert "not h2" in told.reason

    run(main())


def test_a_server_that_breaks_the_rules_of_http2_ends_the_connection(props: Props) -> None:
    async def main() -> None:
        seen = Seen()
        async with (
            Sockets() as sockets,
            a_server(sockets) as server,
            Interceptor(
                listen=LOCALHOST,
                upstream=server.address,
                choose=presenting(props.forged),
                on_event=seen,
                rules=Rules([MALLORY], props.schema),
            ) as interceptor,
        ):
            client = await sockets.dial(interceptor.address)
            context = server_context(props.genuine, alpn=("h2",))
            accepting = asyncio.create_task(server.accept(context))
            await client.handshake(client_context(alpn=("h2",)), name="localhost")
            accepted = await accepting
            await client.send(PREFACE)
            # DATA on a stream that nobody opened.
            await accepted.send(bytes.fromhex("000001000000000063") + b"x")
            closed = await seen.closed()
            assert (closed.by, closed.how) == ("attacker", "error")
            assert "the server's HTTP/2 cannot be changed" in closed.reason
            assert (await client.read_all())[3] == 4  # SETTINGS, and then the end

    run(main())


def test_the_last_words_of_a_server_wait_for_the_clients_window(
    props: Props, loop: LoopFactory
) -> None:
    """The server says all that it has to say and leaves; the client takes it when it can."""
    half = 65_535  # a window (RFC 9113 section 6.9.2): one with the client, one on its way

    async def main() -> None:
        seen = Seen()
        async with (
            Sockets() as sockets,
            a_server(sockets) as server,
            Interceptor(
                listen=LOCALHOST,
                upstream=server.address,
                choose=presenting(props.forged),
                on_event=seen,
                rules=Rules([MALLORY], props.schema),
            ) as interceptor,
        ):
            client = await sockets.dial(interceptor.address)
            context = server_context(props.genuine, alpn=("h2",))
            accepting = asyncio.create_task(server.accept(context))
            await client.handshake(client_context(alpn=("h2",)), name="localhost")
            accepted = await accepting

            asking, answering = H2Connection(), H2Connection(H2Configuration(client_side=False))
            for connection in (asking, answering):
                connection.initiate_connection()
            request = (
                (":method", "GET"),
                (":path", "/"),
                (":scheme", "https"),
                (":authority", "a"),
            )
            asking.send_headers(1, request, end_stream=True)
            await client.send(asking.data_to_send())
            while 1 not in answering.streams:
                answering.receive_data(await accepted.read())
            answering.send_headers(1, [(":status", "200")])
            # h2 opens a window when half of it was taken, so that not all of the second is open.
            sent, all_of_it = 0, half + half // 2
            while sent < all_of_it:
                room = min(answering.local_flow_control_window(1), 16_384, all_of_it - sent)
                if room:
                    answering.send_data(1, bytes(room))
                    sent += room
                else:
                    answering.receive_data(await accepted.read())
                await accepted.send(answering.data_to_send())
            answering.send_headers(1, [("x-last", "1")], end_stream=True)
            await accepted.send(answering.data_to_send())
            await accepted.finish()

            received, ended = 0, False
            while received < half:
                received += taken(asking.receive_data(await client.read()))
            assert received == half
            asking.increment_flow_control_window(half)
            asking.increment_flow_control_window(half, 1)
            await client.send(asking.data_to_send())
            while not ended:
                data = await client.read()
                assert data, "the interceptor left with what was not its own"
                happened = asking.receive_data(data)
                received += taken(happened)
                ended = any(isinstance(event, StreamEnded) for event in happened)
            assert received == all_of_it
            assert await client.read_all() == b""

    run(main(), loop)


def taken(happened: list[Any]) -> int:
    return sum(len(event.data) for event in happened if isinstance(event, DataReceived))
