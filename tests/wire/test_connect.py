"""Connect's messages: behind a prefix, as a body, in a query; and messages in JSON."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import events
from mitm.events import Direction, Event
from mitm.messages.room import NOT_READ
from mitm.wire import Http1Parser
from mitm.wire.calls import json_value
from mitm.wire.connect import get
from mitm.wire.grpc import MAX_MESSAGE_SIZE, TRUNCATED_SIZE
from tests.cutting import cuts, pieces
from tests.wire.conversation import (
    GET_USER,
    REQUEST,
    USER,
    USERS,
    Conversation,
    data,
    lost,
    message,
    only,
    request_fields,
)

NICOLAS = {"id": "1", "name": "Nicolas"}
VERSION = ("connect-protocol-version", "1")


def _call(
    type_: str,
    sent: bytes,
    answered: bytes,
    *more: tuple[str, str],
    answer_type: str = "",
    answer: tuple[tuple[str, str], ...] = (),
    status: str = "200",
    method: str = GET_USER,
) -> list[Event]:
    """A call over HTTP/2, whole."""
    talk = Conversation(USERS)
    fields = request_fields(method, *more, content_type=type_)
    seen = talk.send("client", talk.headers("client", 1, fields), data(1, sent, "END_STREAM"))
    reply = [(":status", status), ("content-type", answer_type or type_), *answer]
    seen += talk.send("server", talk.headers("server", 1, reply))
    return seen + talk.send("server", data(1, answered, "END_STREAM"))


def _messages(seen: list[Event]) -> list[tuple[str, str, Any, str]]:
    return [(m.direction, m.type, m.value, m.decoded_by) for m in only(events.Message, seen)]


def _http1(direction: Direction, line: str, type_: str, body: bytes, *more: str) -> bytes:
    lines = [line, f"content-type: {type_}", f"content-length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


PROTO = [
    ("client", "users.v1.GetUserRequest", {"id": "1"}, "descriptors"),
    ("server", "users.v1.User", NICOLAS, "descriptors"),
]
JSON = [
    ("client", "users.v1.GetUserRequest", {"id": 1}, "json"),
    ("server", "users.v1.User", NICOLAS, "json"),
]
NICOLAS_JSON = json.dumps(NICOLAS).encode()


@pytest.mark.parametrize("type_", ["application/proto", "Application/Proto"])
def test_a_unary_body_is_the_message(type_: str) -> None:
    assert _messages(_call(type_, REQUEST, USER, VERSION)) == PROTO


def test_a_unary_body_in_json_is_shown_as_it_is() -> None:
    seen = _call("application/json", b'{"id":1}', NICOLAS_JSON, VERSION)
    assert _messages(seen) == JSON
    assert [m.size for m in only(events.Message, seen)] == [8, len(NICOLAS_JSON)]


def test_json_that_is_nobodys_call_is_no_message() -> None:
    assert _messages(_call("application/json", b'{"id":1}', NICOLAS_JSON)) == []


def test_an_empty_body_is_an_empty_message() -> None:
    (asked, _) = only(events.Message, _call("application/proto", b"", USER, VERSION))
    assert (asked.size, asked.value) == (0, {})


def test_a_request_that_ends_with_its_headers_has_an_empty_message() -> None:
    talk = Conversation(USERS)
    fields = request_fields(GET_USER, VERSION, content_type="application/proto")
    seen = talk.send("client", talk.headers("client", 1, fields, "END_STREAM"))
    assert [m.size for m in only(events.Message, seen)] == [0]


@pytest.mark.parametrize(
    ("asked", "line", "lines"),
    [
        ("POST", "HTTP/1.1 204 No Content", []),
        ("POST", "HTTP/1.1 204 No Content", ["content-type: application/proto"]),
        ("GET", "HTTP/1.1 304 Not Modified", ["content-type: application/proto"]),
        ("HEAD", "HTTP/1.1 200 OK", ["content-type: application/proto", "content-length: 13"]),
        ("POST", "HTTP/1.1 205 Reset Content", ["content-length: 0"]),
    ],
)
def test_an_answer_without_content_is_no_empty_message(
    asked: str, line: str, lines: list[str]
) -> None:
    parser = Http1Parser(1, USERS)
    request = _http1("client", f"{asked} {GET_USER} HTTP/1.1", "application/proto", b"")
    list(parser.feed("client", 2 * request, 0.0))
    answer = "\r\n".join([line, *lines, "", ""]).encode()
    assert only(events.Message, list(parser.feed("server", answer, 0.0))) == []
    # The twin: what comes next has some.
    if asked == "POST":
        whole = _http1("server", "HTTP/1.1 200 OK", "application/proto", b"")
        (told,) = only(events.Message, list(parser.feed("server", whole, 0.0)))
        assert (told.type, told.value) == ("users.v1.User", {})


@pytest.mark.parametrize("status", ["204", "304"])
def test_an_answer_without_content_is_no_empty_message_over_http_2(status: str) -> None:
    seen = _call("application/proto", REQUEST, b"", status=status)
    assert _messages(seen) == PROTO[:1]


def test_a_unary_body_may_be_compressed() -> None:
    gzipped = ("content-encoding", "gzip")
    seen = _call(
        "application/proto",
        gzip.compress(REQUEST),
        gzip.compress(USER),
        VERSION,
        gzipped,
        answer=(gzipped,),
    )
    assert _messages(seen) == PROTO
    for told in only(events.Message, seen):
        assert (told.compressed, told.encoding) == (True, "gzip")


def test_an_error_is_no_message_of_the_method() -> None:
    error = {"code": "not_found", "message": "no user has the id 9"}
    seen = _call(
        "application/proto",
        REQUEST,
        json.dumps(error).encode(),
        VERSION,
        answer_type="application/json",
        status="404",
    )
    assert _messages(seen) == [PROTO[0], ("server", "", error, "json")]


@pytest.mark.parametrize("codec", ["proto", "json"])
def test_a_stream_has_messages_and_an_end(codec: str) -> None:
    asked, answer = (REQUEST, USER) if codec == "proto" else (b'{"id":1}', NICOLAS_JSON)
    end = {"error": {"code": "unavailable"}, "metadata": {"a": ["b"]}}
    said = gzip.compress(json.dumps(end).encode())
    seen = _call(
        f"application/connect+{codec}",
        message(asked),
        2 * message(answer) + b"\3" + len(said).to_bytes(4, "big") + said,
        VERSION,
        answer=(("connect-content-encoding", "gzip"),),
    )
    first, second = PROTO if codec == "proto" else JSON
    last = ("server", "EndStreamResponse", end, "json")
    assert _messages(seen) == [first, second, second, last]


def test_a_flag_that_connect_does_not_have_costs_the_stream() -> None:
    seen = _call("application/connect+proto", b"\x04\0\0\0\0", message(USER), VERSION)
    assert lost(seen) == (1, "gRPC message with unknown flags 0x04")
    assert _messages(seen) == PROTO[1:]


def test_a_body_that_is_too_long_is_counted_and_its_beginning_kept() -> None:
    talk = Conversation(USERS)
    fields = request_fields(GET_USER, content_type="application/proto")
    talk.send("client", talk.headers("client", 1, fields))
    for _ in range(MAX_MESSAGE_SIZE // 16_000 + 1):
        talk.send("client", data(1, 16_000 * b"x"))
        assert talk.parser.buffered <= MAX_MESSAGE_SIZE
    assert talk.parser.buffered == TRUNCATED_SIZE
    (told,) = only(events.Message, talk.send("client", data(1, b"", "END_STREAM")))
    assert told.truncated
    assert told.size > MAX_MESSAGE_SIZE
    assert told.raw == TRUNCATED_SIZE * b"x"
    assert talk.parser.buffered == 0


# By GET


def _query(sent: bytes, codec: str, *, base64_: bool, compression: str = "") -> str:
    if compression:
        sent = gzip.compress(sent)
    text = base64.urlsafe_b64encode(sent).rstrip(b"=").decode() if base64_ else quote(sent)
    query = f"?connect=v1&encoding={codec}&message={text}" + ("&base64=1" if base64_ else "")
    return GET_USER + query + (f"&compression={compression}" if compression else "")


@pytest.mark.parametrize("compression", ["", "gzip"])
@pytest.mark.parametrize("base64_", [True, False])
@pytest.mark.parametrize("codec", ["proto", "json"])
def test_a_query_holds_the_message(codec: str, base64_: bool, compression: str) -> None:
    asked, answer = (REQUEST, USER) if codec == "proto" else (b'{"id":1}', NICOLAS_JSON)
    path = _query(asked, codec, base64_=base64_, compression=compression)
    expected = PROTO if codec == "proto" else JSON
    talk = Conversation(USERS)
    fields = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "x")]
    seen = talk.send("client", talk.headers("client", 1, fields, "END_STREAM"))
    reply = [(":status", "200"), ("content-type", f"application/{codec}")]
    seen += talk.send("server", talk.headers("server", 1, reply))
    seen += talk.send("server", data(1, answer, "END_STREAM"))
    assert _messages(seen) == expected
    (asked_event, _) = only(events.Message, seen)
    assert (asked_event.method, asked_event.compressed) == (GET_USER, bool(compression))

    parser = Http1Parser(1, USERS)
    seen = list(parser.feed("client", f"GET {path} HTTP/1.1\r\n\r\n".encode(), 0.0))
    wire = _http1("server", "HTTP/1.1 200 OK", f"application/{codec}", answer)
    seen += list(parser.feed("server", wire, 0.0))
    assert _messages(seen) == expected


@pytest.mark.parametrize(
    "path",
    [
        GET_USER,
        f"{GET_USER}?message=x",
        f"{GET_USER}?encoding=xml&message=x",
        f"{GET_USER}?encoding=proto&message=@@@@&base64=1",
        f"{GET_USER}?encoding=proto&message=%E4%BD%A0x&base64=1",
        f"{GET_USER}?{100 * 'a=b&'}encoding=proto&message=x",
    ],
)
def test_what_is_no_call_by_get_has_no_message(path: str) -> None:
    assert get("GET", path) is None


@given(st.text())
def test_no_path_makes_it_raise(text: str) -> None:
    get("GET", f"/x?message={text}")
    get("GET", f"/x?encoding=proto&base64=1&message={text}")


# Over HTTP/1.1


@given(cuts)
def test_a_unary_call_over_http_1_is_read_however_it_is_cut(where: list[int]) -> None:
    parser = Http1Parser(1, USERS)
    seen: list[Event] = []
    line = f"POST {GET_USER} HTTP/1.1"
    asked = _http1("client", line, "application/json", b'{"id":1}', "Connect-Protocol-Version: 1")
    answer = _http1("server", "HTTP/1.1 200 OK", "application/json", NICOLAS_JSON)
    for _ in range(2):
        for piece in pieces(asked, where):
            seen += parser.feed("client", piece, 0.0)
        for piece in pieces(answer, where):
            seen += parser.feed("server", piece, 0.0)
    assert _messages(seen) == 2 * JSON
    assert parser.buffered == 0


def test_a_body_in_chunks_is_the_message_once_it_has_ended() -> None:
    parser = Http1Parser(1, USERS)
    head = f"POST {GET_USER} HTTP/1.1\r\ncontent-type: application/proto\r\n"
    wire = head.encode() + b"transfer-encoding: chunked\r\n\r\n"
    wire += b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in REQUEST) + b"0\r\n\r\n"
    assert _messages(list(parser.feed("client", wire, 0.0))) == PROTO[:1]


# JSON


@pytest.mark.parametrize(
    "type_", ["application/grpc+json", "application/grpc-web+json", "Application/gRPC+JSON; x=y"]
)
def test_messages_of_grpc_in_json_are_shown_as_they_are(type_: str) -> None:
    assert _messages(_call(type_, message(b'{"id":1}'), message(NICOLAS_JSON))) == JSON


def test_a_compressed_message_in_json_is_shown_without_its_compression() -> None:
    sent = message(gzip.compress(b'{"id":1}'), compressed=True)
    seen = _call("application/grpc+json", sent, b"", ("grpc-encoding", "gzip"))
    assert _messages(seen) == JSON[:1]


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"{", b'{"a": NaN}', b"\xff", b'"\\ud800"', 5000 * b"[" + 5000 * b"]", REQUEST],
)
def test_what_is_no_json_is_shown_as_bytes(rubbish: bytes) -> None:
    (told,) = only(events.Message, _call("application/grpc+json", message(rubbish), b""))
    assert (told.value, told.raw, told.decoded_by) == (None, rubbish, "")


@pytest.mark.parametrize("depth", [90, 101, 900])
def test_json_is_shown_as_deep_as_protocol_buffers_are(depth: int) -> None:
    value = json_value(depth * b"[" + depth * b"]")
    assert (value is None) == (depth > 100)


@pytest.mark.parametrize(
    "many",
    [
        b"[" + 500_000 * b"1," + b"1]",
        b"[" + 100_000 * b'{"a":1},' + b"{}]",
        b'{"users": [' + 60_000 * b'{"id": 1, "tags": ["a"]}, ' + b"{}]}",
        b"[" + 300_000 * b"[]," + b"[]]",
        90 * b"[" + 100_000 * b"1," + b"1" + 90 * b"]",
        b"{" + b",".join(b'"%d":0' % each for each in range(100_000)) + b"}",
    ],
    ids=["numbers", "objects", "users", "lists", "deep", "members"],
)
def test_of_json_of_very_many_values_it_is_told_how_long_it_is(many: bytes) -> None:
    assert json_value(many) == {NOT_READ: len(many)}


def test_its_bytes_are_shown_then() -> None:
    many = b"[" + 500_000 * b"1," + b"1]"
    sent = message(gzip.compress(many), compressed=True)
    seen = _call("application/grpc+json", sent, b"", ("grpc-encoding", "gzip"))
    (told,) = only(events.Message, seen)
    assert (told.value, told.raw, told.decoded_by) == ({NOT_READ: len(many)}, many, "json")


@pytest.mark.parametrize(
    "value",
    [[*range(20_000)], [{"a": {"b": [each]}} for each in range(10_000)], {"text": "a" * 2**20}],
    ids=["numbers", "objects", "text"],
)
def test_long_json_of_fewer_values_is_shown(value: object) -> None:
    told = json_value(json.dumps(value).encode())
    assert told == (value if isinstance(value, dict) else {"value": value})


_text = st.text(st.characters(codec="utf-8"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | _text, st.lists))
def test_json_that_is_no_object_is_a_value(value: object) -> None:
    assert json_value(json.dumps(value).encode()) == {"value": value}


@given(st.binary())
def test_no_bytes_make_it_raise(rubbish: bytes) -> None:
    json_value(rubbish)
