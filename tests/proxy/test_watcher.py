"""Watching: what is recognised of the bytes that pass, and that no byte depends on it."""

import os
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from mitm import events
from mitm.events import Direction, Event
from mitm.messages import Schema
from mitm.proxy import watcher
from mitm.proxy.watcher import Watcher
from mitm.wire import Http2Parser
from tests.proxy.stage import (
    PREFACE,
    SETTINGS,
    LoopFactory,
    Props,
    a_stage,
    client_context,
    run,
    server_context,
)

# A request with one message and its answer, with an empty header table: HEADERS with the path as a
# literal that is not indexed (RFC 7541 section 6.2.2), DATA with gRPC's prefix.
PATH = b"/users.v1.UserService/GetUser"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


GRPC = literal(b"content-type", b"application/grpc")
REQUEST = (
    PREFACE
    + SETTINGS
    + frame(1, 4, 1, literal(b":path", PATH) + GRPC)
    + frame(0, 1, 1, b"\0\0\0\0\x02\x08\x01")
)
RESPONSE = (
    SETTINGS
    + frame(1, 4, 1, literal(b":status", b"200") + GRPC)
    + frame(0, 0, 1, b"\0\0\0\0\x09\x12\x07Nicolas")
    + frame(1, 5, 1, literal(b"grpc-status", b"0"))
)


def a_watcher(props: Props, alpn: str | None) -> tuple[Watcher, list[Event]]:
    seen: list[Event] = []
    return Watcher(1, encrypted=True, alpn=alpn, schema=props.schema, on_event=seen.append), seen


def messages(seen: list[Event]) -> list[object]:
    return [event.value for event in seen if isinstance(event, events.Message)]


READ = [{"id": "1"}, {"name": "Nicolas"}]


@pytest.mark.parametrize("alpn", ["h2", "http/1.1", None])
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("first", ["client", "server"])
def test_http2_is_recognised_whatever_was_agreed_and_whoever_speaks_first(
    props: Props, alpn: str | None, size: int, first: Direction
) -> None:
    watching, seen = a_watcher(props, alpn)
    if first == "server":
        watching.feed("server", RESPONSE[: len(SETTINGS)])
    for start in range(0, len(REQUEST), size):
        watching.feed("client", REQUEST[start : start + size])
    for start in range(len(SETTINGS) if first == "server" else 0, len(RESPONSE), size):
        watching.feed("server", RESPONSE[start : start + size])
    assert messages(seen) == READ
    assert not any(isinstance(event, events.ParseFailed) for event in seen)
    assert watching.seen == {"client": len(REQUEST), "server": len(RESPONSE)}


@pytest.mark.parametrize("alpn", ["http/1.1", None])
def test_other_bytes_are_evidence_and_no_failure(props: Props, alpn: str | None) -> None:
    watching, seen = a_watcher(props, alpn)
    watching.feed("client", b"PRI * HTTP/3.0\r\n\r\n")
    watching.feed("client", REQUEST)  # too late: it is somebody's content
    watching.feed("server", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    kinds = [(type(event), getattr(event, "direction", "")) for event in seen]
    assert kinds == [(events.ApplicationData, "client"), (events.ApplicationData, "server")]


def test_a_server_that_speaks_without_end_before_its_client_is_not_kept(props: Props) -> None:
    watching, _ = a_watcher(props, None)
    chunk = bytes(65_536)
    tracemalloc.start()
    try:
        for _ in range(100):
            watching.feed("server", bytes(chunk) + b"x")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * len(chunk)


# No byte depends on it


@pytest.mark.parametrize("when", ["at once", "after some events"])
def test_a_parser_that_raises_does_not_break_the_relay(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    class Broken(Http2Parser):
        def feed(self, direction: Direction, data: bytes, time: float) -> Iterator[Event]:
            if when != "at once":
                yield from super().feed(direction, data, time)
            raise KeyError("a mistake")

    monkeypatch.setattr(watcher, "Http2Parser", Broken)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(alpn=("h2",)), server_context(props.genuine, alpn=("h2",))
            )
            await client.send(REQUEST)
            assert await server.read_exactly(len(REQUEST)) == REQUEST
            await server.send(RESPONSE)
            assert await client.read_exactly(len(RESPONSE)) == RESPONSE
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
        failed = stage.seen.one(events.ParseFailed)
        assert failed.direction == "client"
        assert failed.reason == "unforeseen: KeyError"  # its text may quote what passed
        assert bool(stage.seen.all(events.Frame)) == (when != "at once")
        assert (closed.client_bytes, closed.server_bytes) == (len(REQUEST), len(RESPONSE))

    run(main(), loop)


@pytest.mark.parametrize(
    "malformed",
    [
        b"no preface at all, and yet h2 was agreed on",
        PREFACE + b"\xff" * 1000,
        PREFACE + SETTINGS + frame(1, 4, 1, b"\xbf\xff\xff\xff\xff\xff\xff"),  # HPACK
        PREFACE + SETTINGS + frame(9, 4, 1, b""),  # CONTINUATION of nothing
    ],
)
def test_malformed_http2_does_not_break_the_relay(
    props: Props, loop: LoopFactory, malformed: bytes
) -> None:
    up, down = os.urandom(300_000), os.urandom(200_000)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(alpn=("h2",)), server_context(props.genuine, alpn=("h2",))
            )
            await client.send(malformed)
            assert await server.read_exactly(len(malformed)) == malformed
            failed = await stage.seen.wait(events.ParseFailed)
            assert failed.direction == "client"
            await client.send(up)
            assert await server.read_exactly(len(up)) == up
            await server.send(down)
            assert await client.read_exactly(len(down)) == down
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
            assert stage.seen.one(events.ParseFailed) == failed
        assert (closed.by, closed.how) == ("client", "close-notify")
        assert closed.client_bytes == len(malformed) + len(up)

    run(main(), loop)


def test_well_formed_http2_passes_unchanged_and_is_read(props: Props, loop: LoopFactory) -> None:
    """The twin of the malformed: the same relay, and nothing fails."""
    big = os.urandom(100_000)
    frames = b"".join(
        frame(0, 0, 1, part)
        for part in (
            (b"\0" + len(big).to_bytes(4, "big") + big)[start : start + 16_384]
            for start in range(0, len(big) + 5, 16_384)
        )
    )
    request = REQUEST[: -len(frame(0, 1, 1, b"\0\0\0\0\x02\x08\x01"))] + frames

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(alpn=("h2",)), server_context(props.genuine, alpn=("h2",))
            )
            await client.send(request)
            assert await server.read_exactly(len(request)) == request
            await server.send(RESPONSE)
            assert await client.read_exactly(len(RESPONSE)) == RESPONSE
            sent = await stage.seen.wait(events.Message, direction="client")
            answered = await stage.seen.wait(events.Message, direction="server")
            assert stage.seen.all(events.ParseFailed) == []
        # Random bytes are no GetUserRequest: shown as they are.
        assert (sent.value, sent.size, sent.type) == (None, 100_000, "users.v1.GetUserRequest")
        assert sent.raw == big
        assert answered.value == {"name": "Nicolas"}

    run(main(), loop)


# gRPC-Web over HTTP/1.1

WEB_REQUEST = (
    b"POST /users.v1.UserService/GetUser HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/grpc-web+proto\r\nContent-Length: 7\r\n\r\n"
    b"\0\0\0\0\x02\x08\x01"
)
WEB_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
    b"e\r\n\0\0\0\0\x09\x12\x07Nicolas\r\n14\r\n\x80\0\0\0\x0fgrpc-status: 0\r\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("alpn", ["http/1.1", None])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_grpc_web_over_http_1_1_is_recognised(props: Props, alpn: str | None, size: int) -> None:
    watching, seen = a_watcher(props, alpn)
    for direction, wire in (("client", WEB_REQUEST), ("server", WEB_RESPONSE)):
        for start in range(0, len(wire), size):
            watching.feed(direction, wire[start : start + size])  # type: ignore[arg-type]
    assert messages(seen) == READ
    told = [(event.kind, event.method) for event in seen if isinstance(event, events.Headers)]
    method = PATH.decode()
    assert told == [("request", method), ("response", method), ("trailers", method)]
    assert not any(isinstance(event, events.ParseFailed) for event in seen)


@pytest.mark.parametrize(
    "said",
    [b"GET /" + 15_000 * b"x", b"A" * 15_000, b"GET /\xff " + 15_000 * b"y"],
    ids=["a long request line", "a long word", "other bytes"],
)
def test_single_bytes_before_it_is_clear_what_they_are_cost_no_more_than_in_proportion(
    said: bytes,
) -> None:
    """Joined and matched at each step, these would be 100 MB of matching."""

    def cost(length: int) -> float:
        watcher = Watcher(
            1, encrypted=True, alpn=None, schema=Schema(), on_event=lambda event: None
        )
        started = time.process_time()
        for at in range(length):
            watcher.feed("client", said[at : at + 1])
        return time.process_time() - started

    assert cost(15_000) < 20 * cost(3_000) + 0.5


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_a_request_in_single_bytes_is_read(alpn: str | None) -> None:
    seen: list[Event] = []
    watcher = Watcher(1, encrypted=True, alpn=alpn, schema=Schema(), on_event=seen.append)
    for byte in b"GET /" + 5000 * b"x" + b" HTTP/1.1\r\n" + 500 * b"a: b\r\n" + b"\r\n":
        watcher.feed("client", bytes([byte]))
    assert [type(event) for event in seen] == [events.ApplicationData, events.Headers]
