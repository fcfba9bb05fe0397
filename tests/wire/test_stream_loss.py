"""What is odd in one stream costs that stream; the connection's others are read on."""

from collections.abc import Callable

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)

from mitm import events
from mitm.events import Event
from mitm.evidence import ClientRun, Observer
from tests.wire.conversation import (
    GET_USER,
    REQUEST,
    RESPONSE,
    USER,
    Conversation,
    data,
    lost,
    message,
    only,
    request_fields,
)

TEXT = "application/grpc-web-text"


def _after_request(*frames: Frame, type_: str = "application/grpc") -> Callable[..., list[Event]]:
    """On stream 1, a request and then these frames."""

    def play(talk: Conversation) -> list[Event]:
        fields = request_fields(content_type=type_)
        seen = talk.send("client", talk.headers("client", 1, fields))
        return seen + talk.send("client", *frames)

    return play


def _headers_first(stream: int) -> Callable[..., list[Event]]:
    def play(talk: Conversation) -> list[Event]:
        return talk.send("client", talk.headers("client", stream, request_fields()))

    return play


def _again(talk: Conversation) -> list[Event]:
    """A request on a stream with a lower number than another one before."""
    return _headers_first(5)(talk) + _headers_first(3)(talk)


def _long_list(talk: Conversation) -> list[Event]:
    fields = request_fields(GET_USER, ("x-long", 100_000 * "v"))
    block = talk.block("client", fields, huffman=False)
    parts = [block[i : i + 16_000] for i in range(0, len(block), 16_000)]
    end = ContinuationFrame(1, b"", flags=["END_HEADERS"])
    rest = [ContinuationFrame(1, part) for part in parts[1:]]
    return talk.send("client", HeadersFrame(1, parts[0]), *rest, end)


def _padding() -> bytes:
    return bytes.fromhex("000002000800000001") + b"\x05x"


ODD: dict[str, tuple[Callable[..., list[Event]], int, str]] = {
    "a flag that is none": (_after_request(data(1, b"\2\0\0\0\0")), 1, "flags 0x02"),
    "HTML": (_after_request(data(1, b"<html>")), 1, "flags 0x3c"),
    "base64 that is none": (_after_request(data(1, b"@@@@"), type_=TEXT), 1, "base64"),
    "a list that is too long": (_long_list, 1, "header list longer"),
    "DATA that nobody opened": (
        lambda talk: talk.send("client", data(7, b"x"), data(7, b"y")),
        7,
        "nobody opened",
    ),
    "a reset that nobody opened": (
        lambda talk: talk.send("client", RstStreamFrame(7)),
        7,
        "nobody opened",
    ),
    "a window that nobody opened": (
        lambda talk: talk.send("client", WindowUpdateFrame(7, 1)),
        7,
        "nobody opened",
    ),
    "an even stream": (_headers_first(2), 2, "opens stream 2"),
    "a stream again": (_again, 3, "opens stream 3 again"),
    "a promise": (
        _after_request(PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"])),
        2,
        "promises stream 2",
    ),
    "more padding than payload": (
        lambda talk: _headers_first(1)(talk) + talk.feed("client", _padding()),
        1,
        "padding",
    ),
}


@pytest.mark.parametrize(("odd", "stream", "reason"), ODD.values(), ids=ODD)
def test_the_stream_is_told_and_the_others_are_read_on(
    odd: Callable[[Conversation], list[Event]], stream: int, reason: str
) -> None:
    talk = Conversation()
    assert reason in lost(odd(talk))[1]
    assert lost(odd(Conversation()))[0] == stream
    assert not talk.parser.failed
    (request,) = only(events.Headers, talk.request(9))
    assert list(request.headers) == list(request_fields())
    (asked,) = only(events.Message, talk.send("client", data(9, message(REQUEST))))
    assert asked.stream == 9
    talk.response(9)
    assert len(only(events.Message, talk.send("server", data(9, message(USER))))) == 1
    (trailers,) = only(events.Headers, talk.trailers(9))
    assert trailers.kind == "trailers"


@pytest.mark.parametrize(("odd", "stream", "reason"), ODD.values(), ids=ODD)
def test_what_cannot_be_read_is_evidence_of_data(
    odd: Callable[[Conversation], list[Event]], stream: int, reason: str
) -> None:
    """Before it and behind it: nobody is clean who has sent it."""
    talk = Conversation()
    start = [
        events.CertificatePresented(
            time=0, connection=1, certificate="x", subjects=("CN=x",), issuer="CN=x", sha256=""
        ),
        events.HandshakeCompleted(time=0, connection=1, version="TLSv1.3", cipher="x", alpn="h2"),
        events.ApplicationData(
            time=0, connection=1, direction="client", encrypted=True, sample=b"PRI * HTTP/2.0"
        ),
    ]
    end = events.Closed(
        time=1, connection=1, by="client", how="eof", phase="established", client_bytes=500
    )
    observer = Observer()
    for event in [*start, *odd(talk), end]:
        observer(event)
    assert observer.observation(ClientRun(end="ended", failed=True)).act == "sent"


def test_a_call_on_a_stream_that_was_used_before_is_one_more_of_them() -> None:
    talk = Conversation()
    observer = Observer()
    for token in ("first", "second"):
        fields = [*request_fields(), ("authorization", f"Bearer of the {token} call")]
        for event in talk.send("client", talk.headers("client", 1, fields, "END_STREAM")):
            observer(event)
        for event in talk.trailers(1):
            observer(event)
    calls = observer.observation(ClientRun(end="ended", failed=True)).evidence.calls
    shown = [call.metadata["authorization"] for call in calls]
    assert shown == [
        "Bearer of t… (17 characters, masked)",
        "Bearer of t… (18 characters, masked)",
    ]


def test_messages_before_the_odd_one_are_told_and_what_the_server_says_as_well() -> None:
    talk = Conversation()
    talk.request()
    seen = talk.send("client", data(1, message(REQUEST) + b"\7\0\0\0\0" + message(REQUEST)))
    assert len(only(events.Message, seen)) == 1
    assert lost(seen)[0] == 1
    assert only(events.Message, talk.send("client", data(1, message(REQUEST), "END_STREAM"))) == []
    talk.send("server", talk.headers("server", 1, RESPONSE))
    assert len(only(events.Message, talk.send("server", data(1, message(USER))))) == 1
    (trailers,) = only(events.Headers, talk.trailers(1, "13"))
    assert trailers.end_stream
    assert talk.parser.open_streams == 0


def test_a_row_of_frames_that_nobody_opened_is_told_once() -> None:
    talk = Conversation()
    seen = talk.send("client", *(DataFrame(7, b"x") for _ in range(100)))
    assert len(only(events.ParseFailed, seen)) == 1
    assert len(only(events.Frame, seen)) == 100


@pytest.mark.parametrize(
    "fields",
    [
        [(":path", "/a"), (":path", "/b"), ("content-type", "application/grpc")],
        [("x", "y"), (":path", "/b")],
        [("", "")],
        [(":nonsense", "x"), ("content-type", "application/grpc"), ("grpc-encoding", "\x7f\x00")],
    ],
)
def test_pseudo_headers_and_encodings_that_are_none_are_told_as_they_are(
    fields: list[tuple[str, str]],
) -> None:
    talk = Conversation()
    (request,) = only(events.Headers, talk.send("client", talk.headers("client", 1, fields)))
    assert list(request.headers) == fields
    seen = talk.send("client", data(1, message(b"rubbish", compressed=True)))
    assert only(events.ParseFailed, seen) == []
    assert len(only(events.Headers, talk.request(3))) == 1
