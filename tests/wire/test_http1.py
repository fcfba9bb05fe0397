"""HTTP/1.1, and gRPC-Web in it: what is told, whatever the cuts and whatever the bytes."""

import base64
import http.client
import io
import time
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitm.events import Direction, Event, Headers, Message, ParseFailed
from mitm.messages import Schema
from mitm.wire import Http1Parser
from mitm.wire.header_blocks import MAX_HEADER_LIST
from mitm.wire.http1 import MAX_PIPELINED
from tests.cutting import cuts, pieces
from tests.wire.conversation import (
    GET_USER,
    NO_SCHEMA,
    REQUEST,
    USER,
    USERS,
    content_of,
    message,
    only,
)

WEB = "application/grpc-web+proto"
TEXT = "application/grpc-web-text+proto"
TRAILERS = b"grpc-status: 5\r\ngrpc-message: no%20such\r\n"


def _request(body: bytes, *lines: str, type_: str = WEB, method: str = "POST") -> bytes:
    head = [f"{method} {GET_USER} HTTP/1.1", "Host: localhost", f"Content-Type: {type_}", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _response(body: bytes, *lines: str, type_: str = WEB, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {type_}", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _trailers(data: bytes) -> bytes:
    return b"\x80" + len(data).to_bytes(4, "big") + data


def _chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    wire = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return wire + b"0\r\n" + trailers + b"\r\n"


def _told(
    parts: list[tuple[Direction, bytes]], where: list[int] | None = None, schema: Schema = USERS
) -> list[Event]:
    parser = Http1Parser(7, schema)
    return [
        event
        for direction, data in parts
        for piece in pieces(data, where or [])
        for event in parser.feed(direction, piece, 1.5)
    ]


_CALL: list[tuple[Direction, bytes]] = [
    ("client", _request(message(REQUEST))),
    ("server", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    ("server", _response(message(USER) + _trailers(TRAILERS))),
    ("client", _request(base64.b64encode(message(REQUEST)), type_=TEXT)),
    (
        "server",
        f"HTTP/1.1 200 OK\r\ncontent-type: {TEXT}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        # Each part is padded for itself, and a chunk may end anywhere.
        + _chunked(
            base64.b64encode(message(USER))[:7],
            base64.b64encode(message(USER))[7:],
            base64.b64encode(_trailers(b"Grpc-Status: 0")),
            trailers=b"x-late: 1\r\n",
        ),
    ),
]


@given(cuts)
def test_calls_are_told_however_the_bytes_are_cut(where: list[int]) -> None:
    seen = _told(_CALL, where)
    kinds = [
        (event.direction, event.stream, getattr(event, "kind", "message"))
        for event in seen
        if isinstance(event, Headers | Message)
    ]
    assert kinds == [
        ("client", 1, "request"),
        ("client", 1, "message"),
        ("server", 1, "informational"),
        ("server", 1, "response"),
        ("server", 1, "message"),
        ("server", 1, "trailers"),
        ("client", 2, "request"),
        ("client", 2, "message"),
        ("server", 2, "response"),
        ("server", 2, "message"),
        ("server", 2, "trailers"),
        ("server", 2, "trailers"),
    ]
    assert only(ParseFailed, seen) == []
    values = [event.value for event in only(Message, seen)]
    assert values == 2 * [{"id": "1"}, {"id": "1", "name": "Nicolas"}]
    headers = only(Headers, seen)
    assert {event.method for event in headers} == {GET_USER}
    assert headers[0].headers[:3] == (
        (":method", "POST"),
        (":path", GET_USER),
        ("host", "localhost"),
    )
    assert headers[2].headers[0] == (":status", "200")
    assert headers[3].headers == (("grpc-status", "5"), ("grpc-message", "no%20such"))
    assert headers[-2].headers == (("grpc-status", "0"),)
    assert headers[-1].headers == (("x-late", "1"),)
    assert {(event.connection, event.time) for event in seen} == {(7, 1.5)}


def test_requests_may_be_sent_before_the_answers_come() -> None:
    parts: list[tuple[Direction, bytes]] = [
        ("client", _request(message(REQUEST)) + _request(b"", method="HEAD") + _request(b"")),
        ("server", _response(message(USER))),
        # The answer to HEAD has a length, and no content (RFC 9110 section 9.3.2).
        ("server", _response(100 * b"x")[:-100] + _response(b"", status="204 No Content")),
    ]
    seen = _told(parts)
    assert only(ParseFailed, seen) == []
    told = [(e.direction, e.stream, e.kind, e.end_stream) for e in only(Headers, seen)]
    assert told == [
        ("client", 1, "request", False),
        ("client", 2, "request", True),
        ("client", 3, "request", True),
        ("server", 1, "response", False),
        ("server", 2, "trailers-only", True),
        ("server", 3, "trailers-only", True),
    ]


def test_a_response_without_a_length_goes_on_to_the_end() -> None:
    head = f"HTTP/1.0 200 OK\r\ncontent-type: {WEB}\r\n\r\n".encode()
    seen = _told([("client", _request(b"")), ("server", head), ("server", 3 * message(USER))])
    assert len(only(Message, seen)) == 3


@pytest.mark.parametrize("type_", ["application/proto", TEXT])
def test_the_end_of_the_connection_may_be_the_end_of_a_message(type_: str) -> None:
    """HTTP/1.0, and `Connection: close`: nothing else says where the body ends."""
    parser = Http1Parser(7, USERS)
    asked, answer = REQUEST, USER
    if type_ == TEXT:
        # Its padding may be left out.
        asked, answer = (base64.b64encode(message(each)).rstrip(b"=") for each in (asked, answer))
    head = f"HTTP/1.0 200 OK\r\ncontent-type: {type_}\r\n\r\n".encode()
    deque(parser.feed("client", _request(asked, type_=type_), 1.5), maxlen=0)
    deque(parser.feed("server", head + answer, 1.5), maxlen=0)
    assert list(parser.end("client", 2.5)) == []
    (told,) = parser.end("server", 2.5)
    assert isinstance(told, Message)
    assert (told.type, told.value) == ("users.v1.User", {"id": "1", "name": "Nicolas"})
    assert list(parser.end("server", 2.5)) == []


def test_a_message_that_breaks_off_with_the_connection_is_none() -> None:
    parser = Http1Parser(7, USERS)
    broken = _request(REQUEST, type_="application/proto")[:-1]
    deque(parser.feed("client", broken, 1.5), maxlen=0)
    assert list(parser.end("client", 2.5)) == []


def test_what_is_not_grpc_has_headers_and_no_messages() -> None:
    page = _response(b"<!DOCTYPE html>", type_="text/html", status="502 Bad Gateway")
    seen = _told([("client", _request(message(REQUEST))), ("server", page)])
    assert [type(event) for event in seen] == [Headers, Message, Headers]


@pytest.mark.parametrize("status", ["101 Switching Protocols", "200 OK"])
def test_another_protocol_is_not_looked_into(status: str) -> None:
    method = "CONNECT" if status == "200 OK" else "GET"
    parser = Http1Parser(1, USERS)
    assert len(list(parser.feed("client", _request(b"", method=method), 0.0))) == 1
    head = f"HTTP/1.1 {status}\r\nupgrade: x\r\n\r\n".encode()
    assert len(list(parser.feed("server", head + b"\0\xffwhatever\n", 0.0))) == 1
    for direction in ("client", "server"):
        assert list(parser.feed(direction, b"\xff\xff\r\n", 0.0)) == []
    assert not parser.failed


@pytest.mark.parametrize(
    ("direction", "wire", "reason"),
    [
        ("client", b"hello\r\n\r\n", "request line"),
        ("client", b"GET / HTTP/2.0\r\n\r\n", "request line"),
        ("client", b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "content-length"),
        (
            "client",
            b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "content-length",
        ),
        ("client", b"GET / HTTP/1.1\r\ncontent-length : 1\r\n\r\n", "length"),
        ("client", b"GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "unknown length"),
        ("client", b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", "chunk"),
        ("client", b"GET / HTTP/1.1\r\na: " + MAX_HEADER_LIST * b"x", "headers longer"),
        ("client", b"GET / HTTP/1.1\r\n" + MAX_HEADER_LIST // 7 * b"a: bcd\r\n", "headers longer"),
        ("client", (MAX_PIPELINED + 1) * b"GET / HTTP/1.1\r\n\r\n", "without an answer"),
        ("server", b"HTTP/1.1 200 OK\r\n\r\n", "to no request"),
        ("server", b"200 OK\r\n\r\n", "status line"),
    ],
)
def test_what_is_malformed_ends_the_view_with_a_reason(
    direction: Direction, wire: bytes, reason: str
) -> None:
    parser = Http1Parser(1, USERS)
    seen = list(parser.feed(direction, wire, 0.0))
    (failed,) = only(ParseFailed, seen)
    assert seen[-1] is failed
    assert reason in failed.reason
    assert parser.failed
    assert parser.buffered == 0
    assert list(parser.feed(direction, _request(b""), 0.0)) == []


@pytest.mark.parametrize("length", ["2, 2", "+2", "0x2", ""])
def test_the_headers_before_a_body_of_unclear_length_are_told(length: str) -> None:
    parser = Http1Parser(1, USERS)
    odd = f"POST {GET_USER} HTTP/1.1\r\nauthorization: x\r\ncontent-length: {length}\r\n\r\n"
    request, failed = parser.feed("client", odd.encode(), 0.0)
    assert isinstance(request, Headers)
    assert ("authorization", "x") in request.headers
    assert isinstance(failed, ParseFailed)
    assert "content-length" in failed.reason


@pytest.mark.parametrize("step", [1, 10_000], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "header line"),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", "header line"),
        (b"GET / HTTP/1.1\r\na : x\r\n\r\n", "header line"),
        (_request(b"\x02\0\0\0\0"), "unknown flags"),
        (_request(b"@@@@", type_=TEXT), "base64"),
        (_request(b"Q===", type_=TEXT), "base64"),
        (_request(_trailers(b"no colon")), "header line"),
        (_request(_trailers((MAX_HEADER_LIST + 1) * b"x")), "trailers"),
    ],
)
def test_one_odd_request_costs_its_own_messages(odd: bytes, reason: str, step: int) -> None:
    """Those before and behind it, on the same connection, are read."""
    parser = Http1Parser(1, USERS)
    wire = _request(message(REQUEST)) + odd + _request(message(REQUEST))
    seen = [
        event
        for start in range(0, len(wire), step)
        for event in parser.feed("client", wire[start : start + step], 0.0)
    ]
    (failed,) = only(ParseFailed, seen)
    assert (failed.stream, failed.direction) == (2, "client")
    assert reason in failed.reason
    assert [event.stream for event in only(Headers, seen) if event.kind == "request"] == [1, 2, 3]
    assert [event.stream for event in only(Message, seen)] == [1, 3]
    assert not parser.failed
    answers = [event for _ in range(3) for event in parser.feed("server", _response(b""), 0.0)]
    assert [event.stream for event in only(Headers, answers)] == [1, 2, 3]


_ASKS = (
    f"POST {GET_USER} HTTP/1.1\r\nContent-Type: application/grpc\r\nUpgrade: h2c\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 7\r\n\r\n"
).encode() + message(REQUEST)
_SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
_SETTINGS = bytes.fromhex("000000040000000000")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@given(cuts, cuts)
def test_an_upgrade_to_http2_is_read_on_however_it_is_cut(
    asked: list[int], answered: list[int]
) -> None:
    """RFC 7540 section 3.2. The client's preface is behind its request already."""
    parser = Http1Parser(1, USERS)
    seen: list[Event] = []
    for piece in pieces(_ASKS + _PREFACE + _SETTINGS, asked):
        seen += parser.feed("client", piece, 0.0)
    content = message(USER)
    answer = b"\0\0\1\1\4\0\0\0\1\x88" + len(content).to_bytes(3, "big") + b"\0\1\0\0\0\1" + content
    for piece in pieces(_SWITCHES + _SETTINGS + answer, answered):
        seen += parser.feed("server", piece, 0.0)
    assert only(ParseFailed, seen) == []
    assert [(event.kind, event.stream) for event in only(Headers, seen)] == [
        ("request", 1),
        ("informational", 1),
        ("response", 1),
    ]
    assert [(event.direction, event.stream) for event in only(Message, seen)] == [
        ("client", 1),
        ("server", 1),
    ]
    assert parser.buffered == 0


@pytest.mark.parametrize(
    ("upgrade", "settings"), [("websocket", "AAMAAABk"), ("h2c", "@@"), ("h2c", "AAM")]
)
def test_an_upgrade_that_cannot_be_read_is_told(upgrade: str, settings: str) -> None:
    parser = Http1Parser(1, USERS)
    asks = _ASKS.replace(b"AAMAAABk", settings.encode())
    seen = list(parser.feed("client", asks, 0.0))
    seen += parser.feed("server", _SWITCHES.replace(b"h2c", upgrade.encode()) + b"x", 0.0)
    (failed,) = only(ParseFailed, seen)
    assert (failed.stream, seen[-1]) == (0, failed)
    assert len(only(Headers, seen)) == 2


def test_a_header_line_that_goes_on_is_one() -> None:
    """RFC 9112 section 5.2."""
    (request,) = _told([("client", b"GET / HTTP/1.1\r\na: b\r\n  c\r\n\td\r\n\r\n")])
    assert isinstance(request, Headers)
    assert dict(request.headers)["a"] == "b c d"


def test_a_line_that_comes_bit_by_bit_costs_no_more_than_in_proportion() -> None:
    parser = Http1Parser(1, USERS)
    wire = b"GET / HTTP/1.1\r\na: " + (MAX_HEADER_LIST - 1000) * b"x" + b"\r\n\r\n"
    started = time.process_time()
    seen = [e for n in range(len(wire)) for e in parser.feed("client", wire[n : n + 1], 0.0)]
    assert [type(event) for event in seen] == [Headers]
    assert time.process_time() - started < 2


@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=60))))
def test_arbitrary_bytes_never_raise(parts: list[Any]) -> None:
    _told([("client", _request(b"")), *parts])


@settings(max_examples=200)
@given(st.data(), cuts)
def test_a_call_gone_wrong_never_raises(data: st.DataObject, where: list[int]) -> None:
    parts = list(_CALL)
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(parts) - 1))
        direction, wire = parts[number]
        at = data.draw(st.integers(0, len(wire)))
        rest = wire[at + data.draw(st.integers(0, 10)) :]
        parts[number] = direction, wire[:at] + data.draw(st.binary(max_size=8)) + rest
    seen = _told(parts, where)
    failed = [event for event in only(ParseFailed, seen) if not event.stream]
    assert len(failed) <= 1
    assert failed == [] or seen[-1] is failed[0]


class _Socket:
    """What `http.client` reads a response from."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._wire)


@given(
    st.sampled_from(["length", "chunked", "close"]),
    st.lists(st.binary(max_size=40), max_size=4),
    st.lists(st.tuples(st.sampled_from(["X-A", "x-b"]), st.sampled_from(["1", "a b", ""]))),
    cuts,
)
def test_a_response_says_the_same_as_to_pythons_own_client(
    framed: str, chunks: list[bytes], fields: list[tuple[str, str]], where: list[int]
) -> None:
    body = b"".join(map(message, chunks))
    lines = [f"{name}: {value}" for name, value in fields] + [f"Content-Type: {WEB}"]
    if framed == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framed == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = _chunked(*map(message, chunks))
    wire = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body
    theirs = http.client.HTTPResponse(_Socket(wire), method="POST")  # type: ignore[arg-type]
    theirs.begin()
    seen = _told([("client", _request(b"")), ("server", wire)], where, NO_SCHEMA)
    response = only(Headers, seen)[1]
    expected = [(name.lower(), value) for name, value in theirs.getheaders()]
    assert list(response.headers) == [(":status", "200"), *expected]
    assert b"".join(message(content_of(e)) for e in only(Message, seen)) == theirs.read()
