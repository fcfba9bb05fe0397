"""What nobody wants is not told; all else is told the same, and a client judged the same.

For any bytes, cut anywhere, what is told with less wanted is what is told with everything wanted,
but for what is not wanted. The exceptions, in words:

- all frames of a client up to its first request are told, and its requests are;
- trailers of gRPC-Web stand among the messages, and are told where answers and messages both are;
- where messages are not wanted, they are not read, so that it is not told what is wrong with them;
- where neither they nor answers are wanted, header blocks of the server are not read any more once
  the client has made a request: it is not told what is wrong with those either, and where a broken
  one would be the end of it all, everything else is read on.

Evidence is the same in all of this, but for what it holds of messages and answers themselves.
"""

from collections.abc import Iterator, Sequence

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from mitm.events import (
    EVERYTHING,
    FRAME_TYPES,
    ApplicationData,
    CertificatePresented,
    Closed,
    Connected,
    Direction,
    Event,
    Frame,
    HandshakeCompleted,
    Headers,
    Message,
    ParseFailed,
    PartialFrame,
    Wanted,
)
from mitm.evidence import (
    Call,
    ClientRun,
    Evidence,
    Observation,
    Observer,
    SingleVerdict,
    SingleVerdicts,
)
from mitm.evidence.records import LEVELS, Reached
from mitm.wire import Http1Parser, Http2Parser
from tests.cutting import cuts, pieces
from tests.wire.conversation import GET_USER, REQUEST, USER, USERS, Fields, message, request_fields
from tests.wire.going_wrong import Part, any_frames, mutated, sides
from tests.wire.session import Session
from tests.wire.test_http1 import _ASKS, _CALL, _PREFACE, _SETTINGS, _SWITCHES
from tests.wire.test_sessions import _RECORDED

QUIET = Wanted(frames_left_out=FRAME_TYPES, messages=False, answers=False)

_wishes = st.one_of(
    st.just(QUIET),
    st.builds(Wanted, st.frozensets(st.sampled_from(sorted(FRAME_TYPES))), st.booleans()),
    st.builds(
        Wanted, st.sampled_from([frozenset(), FRAME_TYPES]), st.booleans(), answers=st.booleans()
    ),
)

_OF_MESSAGES = ("gRPC message", "more than 65536 messages", "gRPC-Web t")
_OF_HEADER_BLOCKS = ("header list longer",)


def _filtered(seen: Sequence[Event], wanted: Wanted) -> tuple[list[Event], bool]:
    """Of all that was told, what is to be told; and whether more may come behind it."""
    kept: list[Event] = []
    asked, in_content = False, True
    for event in seen:
        match event:
            case Frame():
                in_content = event.type == "DATA"
                early = event.direction == "client" and not asked
                keep = early or event.type not in wanted.frames_left_out
            case Headers(kind="request"):
                keep = asked = True
            case Headers(kind="trailers", end_stream=False) if in_content:
                keep = wanted.answers and wanted.messages
            case Headers():
                keep = wanted.answers
            case Message():
                keep = wanted.messages
            case ParseFailed() if event.stream and event.reason.startswith(_OF_MESSAGES):
                keep = wanted.messages
            case ParseFailed(direction="server") if asked and not (
                wanted.messages or wanted.answers
            ):
                if event.reason.startswith("HPACK"):
                    return kept, True
                keep = not event.reason.startswith(_OF_HEADER_BLOCKS)
            case _:
                keep = True
        if keep:
            kept.append(event)
    return kept, False


class _Watched:
    """A connection over TLS, as it is told and judged with something wanted."""

    def __init__(self, kind: type[Http1Parser | Http2Parser], wanted: Wanted) -> None:
        self.parser = kind(1, USERS, wanted=wanted)
        self.seen: list[Event] = []
        self.observer = Observer()
        self.single = SingleVerdicts()
        self._said: dict[Direction, int] = {"client": 0, "server": 0}
        for event in (
            Connected(time=0, connection=1, client="[::1]:1"),
            CertificatePresented(
                time=0, connection=1, certificate="x", subjects=(), issuer="", sha256=""
            ),
            HandshakeCompleted(time=0, connection=1, version="", cipher="", alpn=None),
        ):
            self._watch(event)

    def _watch(self, event: Event) -> SingleVerdict | None:
        self.observer(event)
        return self.single(event)

    def feed(self, direction: Direction, data: bytes) -> None:
        if data and not self._said[direction]:
            first = ApplicationData(
                time=1, connection=1, direction=direction, encrypted=True, sample=data[:64]
            )
            self._watch(first)
        self._said[direction] += len(data)
        for event in self.parser.feed(direction, data, 1.0):
            self.seen.append(event)
            self._watch(event)

    def end(self, by: Direction) -> SingleVerdict:
        """What is told of the connection once it has ended."""
        verdict = self._watch(
            Closed(
                time=2,
                connection=1,
                by=by,
                how="eof",
                phase="established",
                client_bytes=self._said["client"],
                server_bytes=self._said["server"],
            )
        )
        assert verdict
        return verdict

    def judged(self) -> Observation:
        """What the client did, without what is only known by messages and answers."""
        run = ClientRun("ended", failed=True, exit_code=1)
        observation = self.observer.observation(run)
        evidence = observation.evidence
        calls = tuple(Call(call.method, call.metadata) for call in evidence.calls)
        ends = tuple(structs.replace(e, reached=_read(e.reached)) for e in evidence.connections)
        known = Evidence(_read(evidence.reached), calls, evidence.credentials, ends)
        return structs.replace(observation, evidence=known)


def _open(parser: Http1Parser | Http2Parser) -> int:
    return parser.open_streams if isinstance(parser, Http2Parser) else 0


def _read(reached: Reached) -> Reached:
    return min(reached, "headers", key=LEVELS.index)


def _check(
    kind: type[Http1Parser | Http2Parser],
    said: Sequence[Part],
    wanted: Wanted,
    by: Direction = "client",
) -> None:
    """Hold what is told and judged of a conversation with less wanted against all of it."""
    everything, less = _Watched(kind, EVERYTHING), _Watched(kind, wanted)
    goes_on = False
    for direction, data in said:
        everything.feed(direction, data)
        less.feed(direction, data)
        expected, goes_on = _filtered(everything.seen, wanted)
        if goes_on:
            assert less.seen[: len(expected)] == expected
            assert not less.parser.failed or everything.parser.failed
        else:
            assert less.seen == expected
            assert less.parser.failed == everything.parser.failed
            assert _open(less.parser) == _open(everything.parser)
        assert less.parser.buffered <= everything.parser.buffered or goes_on
        assert less.observer.spoken == everything.observer.spoken
        assert less.observer.rejections == everything.observer.rejections
    for left in (False, True):
        if left:
            verdict, whole = less.end(by), everything.end(by)
            assert verdict.verdict == whole.verdict
            assert goes_on or verdict == whole
        ours, all_of_it = less.judged(), everything.judged()
        if goes_on:
            # What came behind it is told by one of them alone.
            read = len(all_of_it.evidence.calls)
            assert ours.evidence.calls[:read] == all_of_it.evidence.calls
            assert (ours.act, ours.called) == (all_of_it.act, all_of_it.called)
            assert ours.evidence.reached == all_of_it.evidence.reached
        else:
            assert ours == all_of_it


# Conversations that are in order, of all that a parser reads.

_TYPES = (
    "application/grpc",
    "application/grpc-web",
    "application/grpc-web-text",
    "application/connect+json",
    "application/proto",
    "application/json",
    "text/html",
)
_CONTENTS = (
    message(REQUEST),
    message(USER) + message(USER, compressed=True),
    b"\0\0\0\0\x63part",
    b"\x80\0\0\0\x10grpc-status: 5\r\n",
    b"\x80\0\0\0\5none\n",
    b"\x7f\0\0\0\0",
    b"AAAAAAIIAQ==",
    b"{}",
    b"",
)
_METADATA: tuple[tuple[str, str], ...] = (
    ("authorization", "Bearer s3cr3t-of-the-test"),
    ("grpc-encoding", "gzip"),
    ("connect-protocol-version", "1"),
    ("grpc-status-details-bin", "CAUSBG5vbmU"),
    ("x-long", 2000 * "v"),
)
_MORE = st.lists(st.sampled_from(_METADATA), max_size=2)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


class _Writer:
    """Writes the frames of both sides, each with the state of its own header blocks."""

    def __init__(self) -> None:
        self._encoders = {"client": hpack.Encoder(), "server": hpack.Encoder()}

    def block(
        self,
        draw: st.DrawFn,
        side: Direction,
        stream: int,
        fields: Fields,
        *,
        promised: int = 0,
    ) -> bytes:
        """A header block, in one frame or in several, ending its stream or not."""
        block = self._encoders[side].encode(fields)
        cut = draw(st.sampled_from([len(block), len(block), 0, 1, 5]))
        whole = 4 if cut >= len(block) else 0
        if promised:
            first = _frame(5, whole, stream, promised.to_bytes(4, "big") + block[:cut])
        else:
            first = _frame(1, whole | draw(st.sampled_from([0, 1])), stream, block[:cut])
        return first if whole else first + _frame(9, 4, stream, block[cut:])


def _step(draw: st.DrawFn, writer: _Writer, newest: int) -> tuple[Direction, bytes, int]:
    """What one side says next; and the newest stream after it."""
    stream = max(1, newest - 2 * draw(st.integers(0, 1)))
    more, ends = draw(_MORE), draw(st.sampled_from([0, 1]))
    content = draw(st.sampled_from(_CONTENTS))
    match draw(st.sampled_from(_STEPS)):
        case "request":
            fields = [*request_fields(content_type=draw(st.sampled_from(_TYPES))), *more]
            return "client", writer.block(draw, "client", newest + 2, fields), newest + 2
        case "get":
            path = f"{GET_USER}?message=CAE&encoding=proto&base64=1"
            fields = [(":method", "GET"), (":path", path), *more]
            return "client", writer.block(draw, "client", newest + 2, fields), newest + 2
        case "asked":
            return "client", _frame(0, ends, stream, content), newest
        case "padded":
            return "client", _frame(0, 8 | ends, stream, b"\2" + content + b"\0\0"), newest
        case "informed":
            fields = [(":status", "103"), *more]
            return "server", writer.block(draw, "server", stream, fields), newest
        case "response":
            type_ = ("content-type", draw(st.sampled_from(_TYPES)))
            fields = [(":status", "200"), *draw(st.sampled_from([[], [type_]])), *more]
            return "server", writer.block(draw, "server", stream, fields), newest
        case "answered":
            return "server", _frame(0, ends, stream, content), newest
        case "trailers":
            side = draw(sides)
            return side, writer.block(draw, side, stream, [("grpc-status", "5"), *more]), newest
        case "pushed":
            promised = 2 * draw(st.integers(1, 5))
            fields = [*request_fields(), *more]
            return "server", writer.block(draw, "server", stream, fields, promised=promised), newest
        case "broken":
            # An index that no table has; a block that is none of the client's then costs all.
            return draw(sides), _frame(1, 4 | ends, stream, b"\xff\x80\x01"), newest
        case _:
            return draw(sides), draw(any_frames()), newest


# What calls are made of comes up more often, so that calls get somewhere.
_STEPS = 2 * ["request", "asked", "response", "answered"] + [
    *("get", "padded", "informed", "trailers", "pushed", "broken", "frame"),
]


@st.composite
def _conversations(draw: st.DrawFn) -> list[Part]:
    """Both first SETTINGS, and anything behind them; the server may be the first to speak."""
    writer, newest = _Writer(), -1
    said: list[Part] = [("client", _PREFACE + _SETTINGS), ("server", _SETTINGS)]
    if draw(st.booleans()):
        said.reverse()
    for _ in range(draw(st.integers(0, 14))):
        direction, data, newest = _step(draw, writer, newest)
        said.append((direction, data))
    return said


def _cut(said: Sequence[Part], where: list[int]) -> Iterator[Part]:
    return ((direction, piece) for direction, data in said for piece in pieces(data, where))


_THOROUGHLY = settings(
    max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@_THOROUGHLY
@given(st.data(), _conversations(), cuts, _wishes, sides)
def test_of_any_conversation(
    data: st.DataObject, said: list[Part], where: list[int], wanted: Wanted, by: Direction
) -> None:
    said = data.draw(mutated(said, fewest=0))
    _check(Http2Parser, list(_cut(said, where)), wanted, by)


@_THOROUGHLY
@given(mutated(_RECORDED, fewest=0), cuts, _wishes)
def test_of_a_session_between_endpoints_of_h2(
    said: list[Part], where: list[int], wanted: Wanted
) -> None:
    _check(Http2Parser, list(_cut(said, where)), wanted)


_UPGRADED: list[Part] = [
    ("client", _ASKS + _PREFACE + _SETTINGS),
    ("server", _SWITCHES + _SETTINGS + _frame(1, 4, 1, b"\x88") + _frame(0, 1, 1, message(USER))),
    ("client", _frame(1, 5, 3, b"\x83\x86\x84\x41\x01x")),
    ("server", _frame(1, 5, 3, b"\x88") + _frame(1, 5, 5, b"\x88")),
]


@_THOROUGHLY
@given(st.one_of(mutated(_CALL, fewest=0), mutated(_UPGRADED, fewest=0)), cuts, _wishes)
def test_of_http1_and_what_it_goes_over_to(
    said: list[Part], where: list[int], wanted: Wanted
) -> None:
    _check(Http1Parser, list(_cut(said, where)), wanted)


@_THOROUGHLY
@given(st.lists(st.tuples(sides, st.one_of(any_frames(), st.binary(max_size=60)))), _wishes)
def test_of_any_bytes(said: list[Part], wanted: Wanted) -> None:
    _check(Http2Parser, [("client", _PREFACE + _SETTINGS), *said], wanted)
    _check(Http1Parser, said, wanted)


# Twins: that something is left out, and that what is told holds what it should.


def _told(said: Sequence[Part], wanted: Wanted) -> list[Event]:
    watched = _Watched(Http2Parser, wanted)
    for direction, data in said:
        watched.feed(direction, data)
    return watched.seen


def test_all_that_is_left_of_a_session_is_its_beginning_and_its_requests() -> None:
    seen = _told(_RECORDED, QUIET)
    everything = _told(_RECORDED, EVERYTHING)
    assert len(everything) > 3 * len(seen)
    requests = [event for event in seen if isinstance(event, Headers)]
    assert [event.kind for event in requests] == 3 * ["request"]
    early = everything[: everything.index(requests[0])]
    assert seen == [
        *(event for event in early if isinstance(event, Frame) and event.direction == "client"),
        *requests,
    ]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (QUIET, {"Headers request", "Frame"}),
        (QUIET | Wanted(FRAME_TYPES, messages=True, answers=False), {"Headers request", "Frame"}),
        (QUIET | Wanted(FRAME_TYPES - {"PING"}, messages=False, answers=False), {"Frame PING"}),
        (EVERYTHING, {"Message", "Headers trailers", "Headers push", "Frame DATA", "Frame PING"}),
    ],
)
def test_what_is_wanted_is_told(wanted: Wanted, told: set[str]) -> None:
    names = set()
    for event in _told(_RECORDED, wanted):
        name = type(event).__name__
        names |= {name, f"{name} {getattr(event, 'kind', getattr(event, 'type', ''))}"}
    assert told <= names
    assert ("Message" in names) == wanted.messages
    assert ("Headers trailers" in names) == wanted.answers
    assert ("Frame DATA" in names) == ("DATA" not in wanted.frames_left_out)


def test_a_clients_frames_are_told_until_it_makes_a_request_be_it_on_a_stream_that_is_none() -> (
    None
):
    ping = _frame(6, 0, 0, b"Bearer 1")
    start: list[Part] = [("client", _PREFACE + _SETTINGS), ("server", _SETTINGS)]
    block = hpack.Encoder().encode(request_fields())
    for stream in (1, 2):
        request = _frame(1, 4, stream, block)
        said: list[Part] = [*start, ("client", 2 * ping + request + ping)]
        frames = [event.type for event in _told(said, QUIET) if isinstance(event, Frame)]
        assert frames == ["SETTINGS", "PING", "PING", "HEADERS"]


def test_a_part_of_a_request_is_told_to_whoever_wants_nothing() -> None:
    block = hpack.Encoder().encode(request_fields())
    said: list[Part] = [("client", _PREFACE + _SETTINGS + _frame(1, 4, 1, block)[:-1])]
    assert isinstance(_told(said, QUIET)[-1], PartialFrame)


def test_a_server_that_breaks_off_before_any_request_is_told_of() -> None:
    """It is why nothing more is read: whoever judges the client must know."""
    broken = _frame(1, 4, 1, b"\xff\x80\x01")
    request = _frame(1, 5, 1, hpack.Encoder().encode(request_fields()))
    start: list[Part] = [("client", _PREFACE + _SETTINGS), ("server", _SETTINGS)]
    (*_, failed) = _told([*start, ("server", broken), ("client", request)], QUIET)
    assert isinstance(failed, ParseFailed)
    assert (failed.direction, failed.stream) == ("server", 0)
    # The twin: after a request nobody needs what it says, and requests are read on.
    again = request.replace(b"\0\0\0\1", b"\0\0\0\3", 1)
    seen = _told([*start, ("client", request), ("server", broken), ("client", again)], QUIET)
    assert [event.stream for event in seen if isinstance(event, Headers)] == [1, 3]
    assert not any(isinstance(event, ParseFailed) for event in seen)
    ends = _told([*start, ("client", request), ("server", broken), ("client", again)], EVERYTHING)
    assert isinstance(ends[-1], ParseFailed)


def test_nothing_is_held_of_messages_that_nobody_wants() -> None:
    session = Session()
    session.open(GET_USER, [], grpc=True, end=False, weight=0)
    session.exchange()
    (call,) = session.calls
    session.queue("client", call, 5_000 * b"m", compressed=False)
    session.send("client", call, 4_000, padding=0, end=False)
    session.exchange()
    less, everything = _Watched(Http2Parser, QUIET), _Watched(Http2Parser, EVERYTHING)
    for direction, data in session.wire:
        less.feed(direction, data)
        everything.feed(direction, data)
    assert less.parser.buffered == 0
    assert everything.parser.buffered > 3_000
