"""gRPC-Web over HTTP/2: its trailers among the messages, and base64."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import events
from mitm.wire.frames import ProtocolError
from mitm.wire.grpc import Budget, MessageReader, RawMessage, TextReader, framing
from tests.cutting import cuts, pieces
from tests.wire.conversation import (
    GET_USER,
    REQUEST,
    RESPONSE,
    USER,
    USERS,
    Conversation,
    data,
    lost,
    message,
    only,
    request_fields,
)

WEB = "application/grpc-web+proto"
TEXT = "application/grpc-web-text"


def _trailers(content: bytes, flags: int = 0x80) -> bytes:
    return bytes([flags]) + len(content).to_bytes(4, "big") + content


def _call(type_: str, *more: tuple[str, str]) -> Conversation:
    talk = Conversation(USERS)
    fields = request_fields(GET_USER, content_type=type_)
    talk.send("client", talk.headers("client", 1, fields))
    answer = [(":status", "200"), ("content-type", type_), *more]
    talk.send("server", talk.headers("server", 1, answer))
    return talk


@pytest.mark.parametrize(
    ("content_type", "carried"),
    [
        ("application/grpc", "grpc"),
        ("application/grpc+proto", "grpc"),
        ("application/grpc;charset=utf-8", "grpc"),
        ("application/grpc-web", "web"),
        ("application/grpc-web+json", "web"),
        ("application/grpc-web ; x", "web"),
        ("Application/gRPC", "grpc"),
        ("APPLICATION/GRPC+PROTO", "grpc"),
        ("application/gRPC-Web+proto", "web"),
        ("Application/Grpc-Web-Text; Charset=UTF-8", "web-text"),
        ("application/connect+json", "connect"),
        ("application/grpc-web-text", "web-text"),
        ("application/grpc-web-text+proto", "web-text"),
        ("application/grpc-websocket", None),
        ("application/grpcx", None),
        ("application/json", None),
        ("", None),
    ],
)
def test_how_messages_are_carried_is_told_by_the_content_type(
    content_type: str, carried: str | None
) -> None:
    assert framing(content_type) == carried


@pytest.mark.parametrize("type_", [WEB, TEXT])
def test_messages_and_trailers_are_told(type_: str) -> None:
    def wire(content: bytes) -> bytes:
        return base64.b64encode(content) if type_ == TEXT else content

    talk = _call(type_)
    (asked,) = only(events.Message, talk.send("client", data(1, wire(message(REQUEST)))))
    assert asked.value == {"id": "1"}
    said = b"grpc-status:7\r\nGrpc-Message: may%20not\r\n"
    seen = talk.send(
        "server", data(1, wire(message(USER))), data(1, wire(_trailers(said)), "END_STREAM")
    )
    (answered,) = only(events.Message, seen)
    assert answered.value == {"id": "1", "name": "Nicolas"}
    (trailers,) = only(events.Headers, seen)
    assert (trailers.kind, trailers.method) == ("trailers", GET_USER)
    assert trailers.headers == (("grpc-status", "7"), ("grpc-message", "may%20not"))
    assert not talk.parser.failed


def test_trailers_may_be_compressed_and_tell_details() -> None:
    talk = _call(WEB, ("grpc-encoding", "gzip"))
    said = gzip.compress(b"grpc-status: 5\r\ngrpc-status-details-bin: CAUSBG5vbmU\r\n")
    (trailers,) = only(events.Headers, talk.send("server", data(1, _trailers(said, 0x81))))
    assert trailers.details == {"code": 5, "message": "none", "details": []}


def test_details_in_the_headers_of_an_answer_are_told() -> None:
    """connect-go answers an error so: with headers alone, which an empty DATA frame ends."""
    talk = Conversation(USERS)
    talk.send("client", talk.headers("client", 1, request_fields(content_type=WEB)))
    answer = [*RESPONSE[:1], ("content-type", WEB), ("grpc-status", "5")]
    answer.append(("grpc-status-details-bin", "CAUSBG5vbmU"))
    (headers,) = only(events.Headers, talk.send("server", talk.headers("server", 1, answer)))
    assert headers.details == {"code": 5, "message": "none", "details": []}


def test_in_grpc_itself_there_is_no_such_flag() -> None:
    talk = Conversation()
    talk.request()
    talk.response()
    assert "flags 0x80" in lost(talk.send("server", data(1, _trailers(b"grpc-status: 0"))))[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_trailers(b"no colon"), "header line"),
        (_trailers(b"x", 0x81), "trailers"),
        (bytes([0x40, 0, 0, 0, 0]), "flags 0x40"),
    ],
)
def test_what_is_malformed_costs_the_stream(content: bytes, reason: str) -> None:
    talk = _call(WEB)
    seen = talk.send("server", data(1, message(USER) + content))
    assert len(only(events.Message, seen)) == 1
    number, why = lost(seen)
    assert number == 1
    assert reason in why
    assert only(events.Message, talk.send("server", data(1, message(USER)))) == []


def test_of_trailers_with_an_odd_line_the_others_are_told() -> None:
    talk = _call(WEB)
    seen = talk.send("server", data(1, _trailers(b"grpc-status: 5\r\nno colon\r\n")))
    (trailers,) = only(events.Headers, seen)
    assert trailers.headers == (("grpc-status", "5"),)
    assert lost(seen)[0] == 1


@pytest.mark.parametrize(("left_out", "read"), [(0, True), (1, True), (2, True), (3, False)])
def test_base64_may_lack_its_padding_at_the_end(left_out: int, read: bool) -> None:
    talk = _call(TEXT)
    text = base64.b64encode(message(USER))
    assert text.endswith(b"==")
    seen = talk.send("server", data(1, text[: len(text) - left_out], "END_STREAM"))
    assert len(only(events.Message, seen)) == read
    assert only(events.ParseFailed, seen) == [] or lost(seen)[0] == 1


def test_base64_that_breaks_off_within_a_byte_is_told() -> None:
    talk = _call(TEXT)
    seen = talk.send("server", data(1, base64.b64encode(message(USER)) + b"A", "END_STREAM"))
    assert len(only(events.Message, seen)) == 1
    assert "base64" in lost(seen)[1]


def test_a_response_may_be_carried_otherwise_than_the_request() -> None:
    talk = Conversation(USERS)
    fields = request_fields(GET_USER, content_type=TEXT)
    talk.send("client", talk.headers("client", 1, fields))
    talk.send("server", talk.headers("server", 1, RESPONSE))
    (answered,) = only(events.Message, talk.send("server", data(1, message(USER))))
    assert answered.value == {"id": "1", "name": "Nicolas"}


@given(st.lists(st.binary(max_size=40), max_size=5), cuts, cuts)
def test_base64_is_read_wherever_it_is_padded_and_cut(
    sent: list[bytes], padded: list[int], where: list[int]
) -> None:
    wire = b"".join(map(message, sent))
    text = b"".join(base64.b64encode(piece) for piece in pieces(wire, padded))
    reader = TextReader(Budget())
    read = [raw for piece in pieces(text, where) for raw in reader.feed(piece)]
    assert read == [RawMessage(False, len(content), content, False) for content in sent]


@given(st.lists(st.binary(max_size=40)), st.sampled_from(["web", "web-text"]))
def test_no_bytes_raise_anything_else_than_a_protocol_error(
    parts: list[bytes], carried: str
) -> None:
    reader = TextReader(Budget()) if carried == "web-text" else MessageReader(Budget(), "web")
    try:
        for part in parts:
            reader.feed(part)
    except ProtocolError:
        pass
