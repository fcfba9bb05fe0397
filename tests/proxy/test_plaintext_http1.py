"""HTTP/1.1 in plaintext: it passes as it does straight, and is read."""

import contextlib
import socket

import h2.config
import h2.connection
import h2.events
import pytest

from mitm import events
from mitm.address import Address
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.stand_in import StandIn
from tests.proxy.stage import (
    LOCALHOST,
    End,
    Ends,
    LoopFactory,
    Props,
    Seen,
    a_stage,
    presenting,
    run,
)
from tests.proxy.test_plaintext import by_connect

METHOD = "/users.v1.UserService/GetUser"
TOKEN = "Bearer a-secret-token"  # noqa: S105
ASKED = b"\0\0\0\0\x02\x08\x01"
ANSWER = b"\0\0\0\0\x0b\x08\x01\x12\x07Nicolas"
TRAILERS = b"\x80\0\0\0\x10grpc-status: 0\r\n"
REQUEST = (
    f"POST {METHOD} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {TOKEN}\r\n"
    f"Content-Type: application/grpc-web+proto\r\nContent-Length: {len(ASKED)}\r\n\r\n"
).encode() + ASKED
RESPONSE = (
    (
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\n"
        f"Content-Length: {len(ANSWER + TRAILERS)}\r\n\r\n"
    ).encode()
    + ANSWER
    + TRAILERS
)


def must_be_read(seen: Seen) -> None:
    assert seen.one(events.Plaintext).protocol == "HTTP/1.1"
    data = seen.one(events.ApplicationData, direction="client")
    assert (data.encrypted, data.sample) == (False, REQUEST[:64])
    request = seen.one(events.Headers, kind="request")
    assert request.method == METHOD
    assert ("authorization", TOKEN) in request.headers
    asked, answered = seen.all(events.Message)
    assert (asked.value, answered.value) == ({"id": "1"}, {"id": "1", "name": "Nicolas"})
    assert seen.one(events.Headers, kind="trailers").headers == (("grpc-status", "0"),)
    assert seen.all(events.ParseFailed) == []
    closed = seen.one(events.Closed)
    assert (closed.by, closed.how, closed.phase) == ("client", "eof", "established")
    assert (closed.client_bytes, closed.server_bytes) == (len(REQUEST), len(RESPONSE))


@pytest.mark.parametrize("step", [7, 1000])
def test_a_call_passes_both_ways_and_is_read(props: Props, loop: LoopFactory, step: int) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            for start in range(0, len(REQUEST), step):
                await client.send(REQUEST[start : start + step])
            server = await stage.server.accept()
            assert await server.read_exactly(len(REQUEST)) == REQUEST
            await server.send(RESPONSE)
            assert await client.read_exactly(len(RESPONSE)) == RESPONSE
            await client.finish()
            assert await server.read() == b""
            await server.finish()
            await stage.seen.closed()
        must_be_read(stage.seen)

    run(main(), loop)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /health HTTP/1.1",
        b"GET /health HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
        b"M-SEARCH * HTTP/1.1",
    ],
)
def test_whatever_is_asked_passes(props: Props, loop: LoopFactory, request_line: bytes) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(request_line + b"\r\n\r\n")
            server = await stage.server.accept()
            assert await server.read_exactly(len(request_line) + 4) == request_line + b"\r\n\r\n"
            await server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert (await client.read()).startswith(b"HTTP/1.1 204")
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        assert [head.kind for head in stage.seen.all(events.Headers)] == [
            "request",
            "trailers-only",
        ]

    run(main(), loop)


def test_a_host_under_test_is_read_when_its_client_comes_by_connect(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> Seen:
        async with by_connect(props, LOCALHOST.host, schema=props.schema) as (client, server, seen):
            await client.send(REQUEST)
            accepted = await server.accept()
            assert await accepted.read_exactly(len(REQUEST)) == REQUEST
            await accepted.send(RESPONSE)
            assert await client.read_exactly(len(RESPONSE)) == RESPONSE
            await client.finish()
            await accepted.finish()
            await seen.closed()
            return seen

    must_be_read(run(main(), loop))


def test_what_is_asked_of_a_server_that_is_not_there_is_evidence(
    props: Props, loop: LoopFactory
) -> None:
    """The attacker has read it, whoever answers."""
    with contextlib.closing(socket.create_server(LOCALHOST)) as taken:
        nobody = Address(*taken.getsockname()[:2])

    async def main() -> None:
        async with a_stage(props, upstream=nobody) as stage:
            client = await stage.dial()
            await client.send(REQUEST)
            closed = await stage.seen.closed()
            with contextlib.suppress(ConnectionResetError):
                assert await client.read() == b""
        assert len(stage.seen.all(events.UpstreamFailed)) == 1
        data = stage.seen.one(events.ApplicationData)
        assert (data.direction, data.encrypted) == ("client", False)
        assert stage.seen.one(events.Headers).method == METHOD
        assert closed.client_bytes == len(REQUEST)

    run(main(), loop)


def test_it_cannot_be_changed_and_that_is_said(props: Props, loop: LoopFactory) -> None:
    rules = Rules(["users.v1.User.name=Mallory"], props.schema)

    async def main() -> None:
        async with a_stage(props, rules=rules) as stage:
            client = await stage.dial()
            await client.send(REQUEST)
            server = await stage.server.accept()
            assert await server.read_exactly(len(REQUEST)) == REQUEST
            await server.send(RESPONSE)
            assert await client.read_exactly(len(RESPONSE)) == RESPONSE
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        told = stage.seen.one(events.NotRewritten)
        assert (told.stream, told.reason) == (0, "not HTTP/2")
        must_be_read(stage.seen)

    run(main(), loop)


def test_the_stand_in_answers_it(props: Props, loop: LoopFactory) -> None:
    """Where there is no server, as in an audit: a client finds somebody who takes its request."""

    async def main() -> Seen:
        seen = Seen()
        async with (
            StandIn() as stand_in,
            Interceptor(
                upstream=stand_in.address,
                upstream_tls=False,
                choose=presenting(props.forged),
                schema=props.schema,
                on_event=seen,
            ) as interceptor,
            Ends() as ends,
        ):
            client = await ends.dial(interceptor.address)
            await client.send(REQUEST)
            assert (await client.read_all()).startswith(b"HTTP/1.1 200 OK")
            await client.finish()
            await seen.closed()
        return seen

    seen = run(main(), loop)
    assert not seen.one(events.ApplicationData, direction="client").encrypted
    assert seen.one(events.Headers, kind="request").method == METHOD


# Upgrade: h2c

UPGRADE = (
    f"POST {METHOD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %s\r\n"
    f"Content-Length: {len(ASKED)}\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def _endpoint(*, client_side: bool) -> h2.connection.H2Connection:
    return h2.connection.H2Connection(h2.config.H2Configuration(client_side=client_side))


async def _hear(end: End, connection: h2.connection.H2Connection, until: type) -> None:
    while True:
        data = await end.read()
        assert data
        heard = connection.receive_data(data)
        await end.send(connection.data_to_send())
        if any(isinstance(event, until) for event in heard):
            return


def test_a_connection_that_is_upgraded_is_read_on_in_http2(props: Props, loop: LoopFactory) -> None:
    """RFC 7540 section 3.2: the request of HTTP/1.1 is stream 1."""

    async def main() -> None:
        async with a_stage(props) as stage:
            client, ours, theirs = (
                await stage.dial(),
                _endpoint(client_side=True),
                _endpoint(client_side=False),
            )
            settings = (ours.initiate_upgrade_connection() or b"").decode().rstrip("=")
            asked = (UPGRADE % settings).encode() + ASKED
            # What it says next is behind it already, before there is an answer.
            asked += ours.data_to_send()
            await client.send(asked)
            server = await stage.server.accept()
            assert await server.read_exactly(len(asked)) == asked
            theirs.initiate_upgrade_connection(settings.encode())
            theirs.receive_data(asked[asked.index(b"PRI * HTTP/2.0") :])
            await server.send(SWITCHING + theirs.data_to_send())
            switched = await client.read()
            assert switched.startswith(SWITCHING)
            ours.receive_data(switched.removeprefix(SWITCHING))
            theirs.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
            theirs.send_data(1, ANSWER)
            theirs.send_headers(1, [("grpc-status", "0")], end_stream=True)
            await server.send(theirs.data_to_send())
            await _hear(client, ours, h2.events.StreamEnded)
            second = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
            second += [(":path", METHOD), ("content-type", "application/grpc")]
            ours.send_headers(3, second)
            ours.send_data(3, ASKED, end_stream=True)
            await client.send(ours.data_to_send())
            await _hear(server, theirs, h2.events.StreamEnded)
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        seen = stage.seen
        assert seen.all(events.ParseFailed) == []
        assert [(m.direction, m.stream, m.value) for m in seen.all(events.Message)] == [
            ("client", 1, {"id": "1"}),
            ("server", 1, {"id": "1", "name": "Nicolas"}),
            ("client", 3, {"id": "1"}),
        ]
        assert [(h.kind, h.stream) for h in seen.all(events.Headers)] == [
            ("request", 1),
            ("informational", 1),
            ("response", 1),
            ("trailers", 1),
            ("request", 3),
        ]
        assert {h.method for h in seen.all(events.Headers)} == {METHOD}

    run(main(), loop)


def test_an_upgrade_that_is_not_taken_up_is_a_request_as_any_other(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            asked = (UPGRADE % "AAMAAABkAAQAAP__").encode() + ASKED
            # The next one is behind it already (RFC 9112 section 9.3.2).
            await client.send(asked + REQUEST)
            server = await stage.server.accept()
            assert await server.read_exactly(len(asked + REQUEST)) == asked + REQUEST
            await server.send(2 * RESPONSE)
            assert await client.read_exactly(2 * len(RESPONSE)) == 2 * RESPONSE
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        requests = stage.seen.all(events.Headers, kind="request")
        assert [head.stream for head in requests] == [1, 2]
        assert len(stage.seen.all(events.Message)) == 4
        assert stage.seen.all(events.ParseFailed) == []

    run(main(), loop)


@pytest.mark.parametrize("settings", ["@@", "AAMAAABk=AA", "AAM"])
def test_an_upgrade_that_cannot_be_read_passes_and_that_is_said(
    props: Props, loop: LoopFactory, settings: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            asked = (UPGRADE % settings).encode() + ASKED
            await client.send(asked)
            server = await stage.server.accept()
            assert await server.read_exactly(len(asked)) == asked
            await server.send(SWITCHING + b"whatever")
            assert await client.read_exactly(len(SWITCHING) + 8) == SWITCHING + b"whatever"
            await client.send(b"more")
            assert await server.read_exactly(4) == b"more"
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        assert stage.seen.one(events.ParseFailed).stream == 0
        assert stage.seen.one(events.Headers, kind="request").method == METHOD

    run(main(), loop)


def test_an_answer_that_ends_with_its_connection_is_told(props: Props, loop: LoopFactory) -> None:
    head = b"HTTP/1.0 200 OK\r\ncontent-type: application/proto\r\n\r\n"
    asked = REQUEST.replace(b"grpc-web+proto", b"proto")

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(asked)
            server = await stage.server.accept()
            assert await server.read_exactly(len(asked)) == asked
            await server.send(head + ANSWER[5:])
            await server.finish()
            assert await client.read_all() == head + ANSWER[5:]
            await client.finish()
            await stage.seen.closed()
        told = stage.seen.one(events.Message, direction="server")
        assert told.value == {"id": "1", "name": "Nicolas"}
        assert stage.seen.events.index(told) < len(stage.seen.events) - 1

    run(main(), loop)
