"""What two endpoints say, frame by frame."""

import pytest
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from mitm import events
from mitm.events import Direction
from mitm.wire import Http2Parser
from tests.wire.conversation import (
    GET_USER,
    NO_SCHEMA,
    PREFACE,
    REQUEST,
    RESPONSE,
    USER,
    USERS,
    Conversation,
    content_of,
    data,
    failure,
    lost,
    message,
    only,
    request_fields,
)

_ACK = SettingsFrame(0, flags=["ACK"])


def test_a_unary_call_is_told_from_its_request_to_its_trailers() -> None:
    talk = Conversation(USERS)
    seen = talk.request()
    seen += talk.send("client", data(1, message(REQUEST), "END_STREAM"))
    seen += talk.response()
    seen += talk.send("server", data(1, message(USER)))
    seen += talk.trailers()

    assert [frame.type for frame in only(events.Frame, seen)] == [
        "HEADERS",
        "DATA",
        "HEADERS",
        "DATA",
        "HEADERS",
    ]
    request, response, trailers = only(events.Headers, seen)
    assert (request.kind, request.direction, request.stream) == ("request", "client", 1)
    assert (request.method, request.end_stream) == (GET_USER, False)
    assert list(request.headers) == request_fields()
    assert (response.kind, response.method) == ("response", GET_USER)
    assert list(response.headers) == RESPONSE
    assert (trailers.kind, trailers.headers) == ("trailers", (("grpc-status", "0"),))
    assert trailers.end_stream
    asked, answered = only(events.Message, seen)
    assert (asked.direction, asked.method, asked.size) == ("client", GET_USER, 2)
    assert (asked.type, asked.value, asked.raw) == ("users.v1.GetUserRequest", {"id": "1"}, None)
    assert (answered.type, answered.value) == ("users.v1.User", {"id": "1", "name": "Nicolas"})
    assert talk.parser.open_streams == 0
    assert talk.parser.buffered == 0


def test_frames_are_told_with_their_flags_and_lengths() -> None:
    talk = Conversation()
    talk.request()
    (frame,) = talk.send("client", DataFrame(1, b"", pad_length=9, flags=["PADDED", "END_STREAM"]))
    assert frame == events.Frame(
        time=0.0,
        connection=1,
        direction="client",
        stream=1,
        type="DATA",
        flags=("END_STREAM", "PADDED"),
        length=10,
    )


def test_a_block_split_by_continuation_is_one_block() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields())
    seen = talk.send(
        "client",
        HeadersFrame(1, block[:10], flags=["END_STREAM"]),
        ContinuationFrame(1, b""),
        ContinuationFrame(1, block[10:20]),
        ContinuationFrame(1, block[20:], flags=["END_HEADERS"]),
    )
    assert len(only(events.Frame, seen)) == 4
    (headers,) = only(events.Headers, seen)
    assert list(headers.headers) == request_fields()
    assert headers.end_stream


def test_padding_and_priority_are_no_part_of_a_block() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields())
    frame = HeadersFrame(
        1,
        block,
        flags=["END_HEADERS", "PADDED", "PRIORITY"],
        pad_length=100,
        depends_on=0,
        stream_weight=15,
        exclusive=True,
    )
    (headers,) = only(events.Headers, talk.send("client", frame))
    assert list(headers.headers) == request_fields()


def test_padding_is_no_part_of_a_message() -> None:
    talk = Conversation()
    talk.request()
    half = DataFrame(1, message(REQUEST)[:4], flags=["PADDED"], pad_length=200)
    assert only(events.Message, talk.send("client", half)) == []
    rest = DataFrame(1, message(REQUEST)[4:], flags=["PADDED"], pad_length=0)
    (sent,) = only(events.Message, talk.send("client", rest))
    assert content_of(sent) == REQUEST


def test_messages_are_put_together_over_frames_and_taken_apart_within_one() -> None:
    talk = Conversation()
    talk.request()
    wire = message(b"one") + message(b"") + message(300 * b"three")
    seen = talk.send("client", data(1, wire[:3]), data(1, wire[3:30]), data(1, wire[30:]))
    told = [type(event).__name__ for event in seen]
    assert told == ["Frame", "Frame", "Message", "Message", "Frame", "Message"]
    assert [content_of(sent) for sent in only(events.Message, seen)] == [
        b"one",
        b"",
        300 * b"three",
    ]


def test_interleaved_streams_keep_their_messages_apart() -> None:
    talk = Conversation()
    methods = {1: "/a.A/One", 3: "/b.B/Two", 5: "/c.C/Three"}
    for stream, method in methods.items():
        talk.request(stream, method=method)
    wires = {stream: message(method.encode()) for stream, method in methods.items()}
    seen = []
    for start in range(0, 20, 2):
        for stream, wire in wires.items():
            seen += talk.send("client", data(stream, wire[start : start + 2]))
    sent = only(events.Message, seen)
    assert {one.stream: one.method for one in sent} == methods
    assert {one.stream: content_of(one) for one in sent} == {
        s: m.encode() for s, m in methods.items()
    }


def test_both_directions_of_a_stream_are_read_apart() -> None:
    talk = Conversation()
    talk.request()
    talk.response()
    asked, answered = message(b"ask"), message(b"answer")
    seen = talk.send("client", data(1, asked[:6]))
    seen += talk.send("server", data(1, answered[:6]))
    seen += talk.send("client", data(1, asked[6:]))
    seen += talk.send("server", data(1, answered[6:]))
    told = [(one.direction, content_of(one)) for one in only(events.Message, seen)]
    assert told == [("client", b"ask"), ("server", b"answer")]


def test_a_response_that_ends_at_once_is_trailers_only() -> None:
    talk = Conversation()
    talk.request(1, "END_STREAM")
    fields = [*RESPONSE, ("grpc-status", "5"), ("grpc-message", "no such user")]
    seen = talk.send("server", talk.headers("server", 1, fields, "END_STREAM"))
    (headers,) = only(events.Headers, seen)
    assert (headers.kind, headers.method, headers.end_stream) == ("trailers-only", GET_USER, True)
    assert dict(headers.headers)["grpc-status"] == "5"
    assert talk.parser.open_streams == 0


def test_informational_responses_come_before_the_real_one() -> None:
    talk = Conversation()
    talk.request()
    kinds = []
    for status in ("100", "103", "200"):
        fields = [(":status", status), ("content-type", "application/grpc")]
        seen = talk.send("server", talk.headers("server", 1, fields))
        kinds += [headers.kind for headers in only(events.Headers, seen)]
    kinds += [headers.kind for headers in only(events.Headers, talk.trailers())]
    assert kinds == ["informational", "informational", "response", "trailers"]


def test_a_client_may_send_trailers_too() -> None:
    talk = Conversation()
    talk.request()
    frame = talk.headers("client", 1, [("x-checksum", "1")], "END_STREAM")
    (headers,) = only(events.Headers, talk.send("client", frame))
    assert (headers.kind, headers.direction) == ("trailers", "client")


def test_a_server_that_answers_before_the_request_has_come_makes_no_request_of_it() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields())
    talk.send("client", HeadersFrame(1, block[:5]))
    (early,) = only(events.Headers, talk.response())
    assert early.kind == "response"
    seen = talk.send("client", ContinuationFrame(1, block[5:], flags=["END_HEADERS"]))
    (late,) = only(events.Headers, seen)
    assert (late.kind, late.method) == ("request", GET_USER)


def test_a_compressed_message_is_shown_raw_and_said_to_be_compressed() -> None:
    talk = Conversation(USERS)
    talk.request()
    (sent,) = only(events.Message, talk.send("client", data(1, message(REQUEST, compressed=True))))
    assert (sent.compressed, sent.value, sent.raw) == (True, None, REQUEST)
    assert sent.type == "users.v1.GetUserRequest"


def test_a_message_that_is_not_what_the_descriptor_says_is_shown_raw() -> None:
    talk = Conversation(USERS)
    talk.request()
    seen = talk.send("client", data(1, message(b"\xff\xff\xff") + message(REQUEST)))
    wrong, right = only(events.Message, seen)
    assert (wrong.value, wrong.raw) == (None, b"\xff\xff\xff")
    assert (right.value, right.raw) == ({"id": "1"}, None)


def test_content_that_is_not_grpc_makes_no_messages() -> None:
    talk = Conversation()
    fields = request_fields("/index.html", content_type="text/plain")
    talk.send("client", talk.headers("client", 1, fields))
    seen = talk.send("client", data(1, b"GET me a page"))
    assert [type(event) for event in seen] == [events.Frame]


def test_the_error_page_of_a_proxy_makes_no_messages_and_breaks_nothing() -> None:
    talk = Conversation()
    talk.request()
    talk.request(3)
    page = talk.headers("server", 1, [(":status", "502"), ("content-type", "text/html")])
    seen = talk.send("server", page, data(1, b"<!DOCTYPE html>", "END_STREAM"))
    assert [type(event) for event in seen] == [events.Frame, events.Headers, events.Frame]
    talk.response(3)
    seen = talk.send("server", data(3, message(USER)))
    assert [content_of(sent) for sent in only(events.Message, seen)] == [USER]


def test_a_response_that_names_no_type_is_read_as_the_request_was() -> None:
    talk = Conversation()
    talk.request()
    talk.send("server", talk.headers("server", 1, [(":status", "200")]))
    seen = talk.send("server", data(1, message(USER)))
    assert [content_of(sent) for sent in only(events.Message, seen)] == [USER]


def test_a_reset_ends_a_stream_for_both_sides() -> None:
    talk = Conversation()
    talk.request()
    talk.send("client", data(1, message(b"half a message")[:10]))
    assert talk.parser.buffered > 0
    (reset,) = talk.send("server", RstStreamFrame(1, 0x8))
    assert isinstance(reset, events.Frame)
    assert (reset.type, reset.detail) == ("RST_STREAM", "CANCEL")
    assert (talk.parser.open_streams, talk.parser.buffered) == (0, 0)


def test_what_crosses_a_reset_is_decoded_and_not_told() -> None:
    talk = Conversation()
    talk.request()
    talk.request(3)
    talk.send("client", RstStreamFrame(1, 0x8))
    # This answer adds to the header table, which the answer to stream 3 then refers to.
    fields = [(":status", "200"), ("content-type", "application/grpc"), ("x-once", "seen")]
    seen = talk.send("server", talk.headers("server", 1, fields), data(1, message(USER)))
    assert [type(event) for event in seen] == [events.Frame, events.Frame]
    (headers,) = only(events.Headers, talk.send("server", talk.headers("server", 3, fields)))
    assert list(headers.headers) == fields


def test_connection_frames_are_told_and_change_no_call() -> None:
    talk = Conversation()
    talk.request()
    seen = talk.send(
        "server",
        PingFrame(0, b"12345678"),
        PingFrame(0, b"12345678", flags=["ACK"]),
        WindowUpdateFrame(0, 1000),
        WindowUpdateFrame(1, 1000),
        PriorityFrame(1, 0, 0, False),
        AltSvcFrame(0, b"example.com", b"h2=:443"),
        ExtensionFrame(0x2A, 1, flag_byte=0xFF),
        GoAwayFrame(0, 1, 0, b"bye"),
    ) + talk.send("client", WindowUpdateFrame(1, 5))
    told = [(frame.type, frame.flags, frame.detail) for frame in only(events.Frame, seen)]
    assert told == [
        ("PING", (), "3132333435363738"),
        ("PING", ("ACK",), "3132333435363738"),
        ("WINDOW_UPDATE", (), "+1000"),
        ("WINDOW_UPDATE", (), "+1000"),
        ("PRIORITY", (), "depends on 0, weight 1"),
        ("ALTSVC", (), ""),
        ("0x2A", ("0xFF",), ""),
        ("GOAWAY", (), "NO_ERROR, last stream 1, 'bye'"),
        ("WINDOW_UPDATE", (), "+5"),
    ]
    talk.response()
    (headers,) = only(events.Headers, talk.trailers())
    assert headers.kind == "trailers"


def test_a_call_in_flight_is_followed_to_its_end_after_goaway() -> None:
    talk = Conversation()
    talk.request()
    talk.send("server", GoAwayFrame(0, 1, 0))
    talk.response()
    seen = talk.send("server", data(1, message(USER))) + talk.trailers()
    assert len(only(events.Message, seen)) == 1
    assert only(events.Headers, seen)[-1].kind == "trailers"


def test_a_pushed_call_is_told_as_one() -> None:
    talk = Conversation()
    talk.request()
    block = talk.block("server", request_fields("/pushed.P/Ush"))
    seen = talk.send(
        "server",
        PushPromiseFrame(1, 2, block[:7], flags=["PADDED"], pad_length=3),
        ContinuationFrame(1, block[7:], flags=["END_HEADERS"]),
        talk.headers("server", 2, RESPONSE),
        data(2, message(b"pushed")),
        talk.headers("server", 2, [("grpc-status", "0")], "END_STREAM"),
    )
    told = [(h.stream, h.kind, h.method) for h in only(events.Headers, seen)]
    assert told == [
        (2, "push", "/pushed.P/Ush"),
        (2, "response", "/pushed.P/Ush"),
        (2, "trailers", "/pushed.P/Ush"),
    ]
    assert [(sent.stream, content_of(sent)) for sent in only(events.Message, seen)] == [
        (2, b"pushed")
    ]
    assert talk.parser.open_streams == 1


def test_bytes_that_are_not_utf8_become_escapes() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields()) + b"\x00\x03x-y\x02\xff\x1b"
    frame = HeadersFrame(1, block, flags=["END_HEADERS"])
    (headers,) = only(events.Headers, talk.send("client", frame))
    assert dict(headers.headers)["x-y"] == "\\xff\x1b"


# What the receiver allows binds the sender from the acknowledgement on.


@pytest.mark.parametrize("acknowledged", [False, True])
def test_longer_frames_pass_once_the_receiver_has_announced_them(acknowledged: bool) -> None:
    talk = Conversation()
    talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**15}))
    if acknowledged:
        talk.send("client", _ACK, _ACK)
    (frame,) = only(events.Frame, talk.send("client", _extension(2**15)))
    assert frame.length == 2**15


def test_longer_frames_fail_if_only_their_sender_announced_them() -> None:
    talk = Conversation()
    talk.send("client", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**15}))
    talk.send("server", _ACK, _ACK)
    assert "4.2" in failure(talk.send("client", _extension(2**14 + 1)))


def test_a_smaller_limit_binds_once_it_is_acknowledged() -> None:
    talk = Conversation()
    talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**15}))
    talk.send("client", _ACK, _ACK)
    talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**14}))
    assert only(events.ParseFailed, talk.send("client", _extension(2**15))) == []
    talk.send("client", _ACK)
    failure(talk.send("client", _extension(2**15)))


def test_of_several_unacknowledged_settings_the_largest_holds() -> None:
    talk = Conversation()
    for size in (2**14, 2**15):
        talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: size}))
    talk.send("client", _ACK, _ACK)  # of the first SETTINGS, and of the smaller one
    assert only(events.ParseFailed, talk.send("client", _extension(2**15))) == []


def test_an_acknowledgement_of_nothing_is_harmless() -> None:
    talk = Conversation()
    seen = talk.send("client", _ACK, _ACK, _ACK)
    assert len(only(events.Frame, seen)) == 3
    assert not talk.parser.failed


def _extension(length: int) -> ExtensionFrame:
    frame = ExtensionFrame(0x2A, 0, body=length * b"x")
    frame.body_len = length
    return frame


def _table_update(size: int) -> bytes:
    """A dynamic table size update (RFC 7541 section 6.3), for sizes from 31 on."""
    assert size >= 31
    encoded, rest = b"\x3f", size - 31
    while rest >= 128:
        encoded += bytes([rest % 128 + 128])
        rest //= 128
    return encoded + bytes([rest])


@pytest.mark.parametrize(("announced", "fails"), [(4096, True), (8192, False)])
def test_a_header_table_is_as_large_as_the_receiver_allows(announced: int, fails: bool) -> None:
    talk = Conversation()
    talk.send("server", SettingsFrame(0, {SettingsFrame.HEADER_TABLE_SIZE: announced}))
    talk.send("client", _ACK, _ACK)
    block = _table_update(8192) + talk.block("client", request_fields())
    seen = talk.send("client", HeadersFrame(1, block, flags=["END_HEADERS"]))
    assert bool(only(events.ParseFailed, seen)) == fails
    assert bool(only(events.Headers, seen)) == (not fails)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_smaller_header_table_must_be_taken_up_after_the_acknowledgement(
    acknowledged: bool,
) -> None:
    talk = Conversation()
    talk.send("client", _ACK)
    talk.send("server", SettingsFrame(0, {SettingsFrame.HEADER_TABLE_SIZE: 100}))
    if acknowledged:
        talk.send("client", _ACK)
    assert bool(only(events.ParseFailed, talk.request())) == acknowledged


# Malformed input: said once, and then silence.

_CLIENT_START = PREFACE + SettingsFrame(0).serialize()


def _started(*frames: Frame) -> bytes:
    return _CLIENT_START + b"".join(frame.serialize() for frame in frames)


def _headers(stream: int, block: bytes = b"\x82", *flags: str) -> HeadersFrame:
    return HeadersFrame(stream, block, flags=["END_HEADERS", *flags])


_MALFORMED: dict[str, tuple[Direction, bytes]] = {
    "HTTP/1.1 request": ("client", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "HTTP/1.1 response": ("server", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a wrong preface": ("client", PREFACE[:-1] + b"!"),
    "no SETTINGS first": ("client", PREFACE + _headers(1).serialize()),
    "an ACK first": ("client", PREFACE + _ACK.serialize()),
    "no SETTINGS of the server first": ("server", PingFrame(0, 8 * b"x").serialize()),
    "CONTINUATION of nothing": ("client", _started(ContinuationFrame(1, b""))),
    "a frame inside a header block": (
        "client",
        _started(HeadersFrame(1, b"\x82"), PingFrame(0, 8 * b"x")),
    ),
    "an unknown frame inside a header block": (
        "client",
        _started(HeadersFrame(1, b"\x82"), ExtensionFrame(0x2A, 1)),
    ),
    "CONTINUATION of another stream": (
        "client",
        _started(HeadersFrame(1, b"\x82"), ContinuationFrame(3, b"")),
    ),
    "HPACK that refers to nothing": ("client", _started(_headers(1, b"\xff\x00"))),
    "HPACK cut short": ("client", _started(_headers(1, b"\x40"))),
    "WINDOW_UPDATE by nothing": (
        "client",
        _started() + bytes.fromhex("00000408000000000000000000"),
    ),
    "a PING of seven bytes": (
        "client",
        _started() + bytes.fromhex("000007060000000000") + 7 * b"x",
    ),
    "a frame longer than allowed": ("client", _started() + bytes.fromhex("004001000000000001")),
    "HEADERS with more padding than payload": (
        "client",
        _started() + bytes.fromhex("0000020108000000010582"),
    ),
}


@pytest.mark.parametrize(("direction", "wire"), _MALFORMED.values(), ids=_MALFORMED)
@pytest.mark.parametrize("step", [1, 10_000], ids=["byte by byte", "at once"])
def test_malformed_bytes_are_said_once_and_followed_by_silence(
    direction: Direction, wire: bytes, step: int
) -> None:
    parser = Http2Parser(1, NO_SCHEMA)
    seen = []
    for start in range(0, len(wire), step):
        seen += list(parser.feed(direction, wire[start : start + step], 0.0))
    assert failure(seen)
    assert parser.failed
    assert (parser.open_streams, parser.buffered) == (0, 0)
    assert list(parser.feed("client", _CLIENT_START, 0.0)) == []
    assert list(parser.feed("server", SettingsFrame(0).serialize(), 0.0)) == []


_WELL_FORMED: dict[str, tuple[Direction, bytes]] = {
    "the preface": ("client", PREFACE),
    "SETTINGS of the server": ("server", SettingsFrame(0).serialize()),
    "a block in two frames": (
        "client",
        _started(HeadersFrame(1, b"\x82"), ContinuationFrame(1, b"\x87", flags=["END_HEADERS"])),
    ),
    "DATA on an open stream": ("client", _started(_headers(1), data(1, b""))),
    "RST_STREAM on an open stream": ("client", _started(_headers(1), RstStreamFrame(1))),
    "DATA on a stream that was open": (
        "client",
        _started(_headers(1), RstStreamFrame(1), data(1, b"late")),
    ),
    "a stream number left out": ("client", _started(_headers(5))),
    "WINDOW_UPDATE of a stream by nothing": (
        # An error of the stream, not of the connection (RFC 9113 section 6.9).
        "client",
        _started(_headers(1)) + bytes.fromhex("00000408000000000100000000"),
    ),
    "an unknown frame type": ("client", _started(ExtensionFrame(0x2A, 9))),
    "a message with flag 1": (
        "client",
        _started(_headers(1, b"\x5f\x10application/grpc"), data(1, b"\1\0\0\0\0")),
    ),
}


@pytest.mark.parametrize(("direction", "wire"), _WELL_FORMED.values(), ids=_WELL_FORMED)
def test_well_formed_bytes_pass(direction: Direction, wire: bytes) -> None:
    parser = Http2Parser(1, NO_SCHEMA)
    assert only(events.ParseFailed, list(parser.feed(direction, wire, 0.0))) == []
    assert not parser.failed


@pytest.mark.parametrize("stream", [1, 2])
def test_a_server_opens_no_stream_but_by_promise(stream: int) -> None:
    talk = Conversation()
    seen = talk.response(stream)
    assert lost(seen)[0] == stream
    assert len(only(events.Headers, seen)) == 1
    assert talk.parser.open_streams == 0


@pytest.mark.parametrize("promised", [0, 3])
def test_a_server_promises_even_streams_only(promised: int) -> None:
    talk = Conversation()
    talk.request()
    frame = PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"]).serialize()
    wrong = frame[:9] + promised.to_bytes(4, "big") + frame[13:]
    seen = talk.feed("server", wrong)
    if promised:
        assert lost(seen)[0] == promised
        assert talk.parser.open_streams == 1
    else:
        failure(seen)


def test_what_came_before_the_failure_is_told() -> None:
    talk = Conversation()
    good = talk.headers("client", 1, request_fields()).serialize()
    seen = talk.feed("client", good + ContinuationFrame(1, b"").serialize())
    assert len(only(events.Headers, seen)) == 1
    assert "CONTINUATION" in failure(seen)


def test_a_failure_of_one_side_is_the_end_of_both() -> None:
    talk = Conversation()
    talk.request()
    failure(talk.send("server", ContinuationFrame(1, b"")))
    assert talk.request(3) == []


# What is told of a frame that is not complete


def _told_of_parts(*pieces: bytes) -> list[tuple[str, int]]:
    parser = Http2Parser(1, USERS)
    seen = [event for piece in pieces for event in parser.feed("client", piece, 0.0)]
    return [(event.type, event.received) for event in only(events.PartialFrame, seen)]


def test_a_part_of_a_request_is_told_before_the_rest_has_come() -> None:
    headers = _headers(1, b"\x82\x87\x84", "END_HEADERS", "END_STREAM").serialize()
    opening = _started()
    assert _told_of_parts(opening) == []
    assert _told_of_parts(opening + headers[:-1]) == [("HEADERS", len(headers) - 1)]
    assert _told_of_parts(opening + headers[:2]) == [("", 2)]
    # Byte by byte, it is told of once for what is known of it.
    one_by_one = [headers[at : at + 1] for at in range(len(headers) - 1)]
    assert _told_of_parts(opening, *one_by_one) == [("", 1), ("HEADERS", 4)]
    # Once a request has come whole, nothing hangs on it any more.
    assert _told_of_parts(opening + headers, headers[:5]) == []


def test_a_part_is_told_of_each_frame_though_its_beginning_comes_with_the_end_of_another() -> None:
    settings = SettingsFrame(0, settings={1: 100}).serialize()
    assert _told_of_parts(_started() + settings[:5], settings[5:] + settings[:7]) == [
        ("SETTINGS", 5),
        ("SETTINGS", 7),
    ]
    assert _told_of_parts(_started() + settings[:5], settings[5:] + settings) == [("SETTINGS", 5)]
