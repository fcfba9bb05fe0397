"""Whole sessions of the h2 library: random calls, random cuts, and bytes that went wrong."""

from collections.abc import Callable

from h2.settings import SettingCodes
from hyperframe.frame import Frame as Hyperframe
from hypothesis import given, settings
from hypothesis import strategies as st

from mitm.events import Direction, Event, Frame, Headers, Message, ParseFailed, PartialFrame
from mitm.wire import Http2Parser
from tests.cutting import cuts, pieces
from tests.wire.conversation import NO_SCHEMA, PREFACE, USERS, request_fields
from tests.wire.going_wrong import any_frames, mutated, sides
from tests.wire.session import Fields, Session, told

_Act = Callable[[Session], None]

_methods = st.sampled_from(["/users.v1.UserService/GetUser", "/a.B/C", "/"])
_names = st.sampled_from([b"x-a", b"x-trace-bin", b"authorization", b"grpc-message", b"cookie"])
_values = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"", b"Bearer token", b"\xff\xfe", 300 * b"v", 5_000 * b"long"]),
)
_metadata: st.SearchStrategy[Fields] = st.lists(st.tuples(_names, _values), max_size=3)
_messages = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"", 5_000 * b"m", 8_000 * b"large"])
)
_pick = st.integers(0, 7)


def _of_a_call(pick: int, act: Callable[..., None], *arguments: object, **options: object) -> _Act:
    """Do something with one of the calls there are, if there is one."""

    def do(session: Session) -> None:
        if session.calls:
            call = session.calls[pick % len(session.calls)]
            act(session, *(call if a is _CALL else a for a in arguments), **options)

    return do


_CALL = object()


# What calls are made of comes up more often, so that calls get somewhere.
_KINDS = 2 * ["open", "exchange", "answer", "message", "message", "send"] + [
    "inform",
    "trailers",
    "reset",
    "push",
    "ping",
]


def _send(draw: st.DrawFn, pick: int, side: Direction, end: bool) -> _Act:
    length = draw(st.sampled_from([0, 1, 4, 5, 6, 100, 2**14, 2**15]))
    padding = draw(st.sampled_from([0, 0, 1, 255]))
    return _of_a_call(pick, Session.send, side, _CALL, length, padding=padding, end=end)


def _message(draw: st.DrawFn, pick: int, side: Direction, end: bool) -> _Act:
    compressed = draw(st.booleans())
    queue = _of_a_call(pick, Session.queue, side, _CALL, draw(_messages), compressed=compressed)
    sends = [_send(draw, pick, side, end) for _ in range(draw(st.integers(0, 3)))]

    def do(session: Session) -> None:
        for act in [queue, *sends]:
            act(session)

    return do


@st.composite
def _acts(draw: st.DrawFn) -> _Act:
    kind = draw(st.sampled_from(_KINDS))
    pick, side, end = draw(_pick), draw(sides), draw(st.integers(0, 3)) == 3
    match kind:
        case "open":
            method, metadata = draw(_methods), draw(_metadata)
            weight = draw(st.sampled_from([0, 0, 1, 256]))
            # Most calls are gRPC.
            return lambda s: s.open(method, metadata, grpc=pick > 0, end=end, weight=weight)
        case "exchange":
            return Session.exchange
        case "inform":
            return _of_a_call(pick, Session.inform, _CALL, draw(_metadata))
        case "answer":
            metadata = draw(_metadata)
            return _of_a_call(pick, Session.answer, _CALL, metadata, grpc=pick > 0, end=end)
        case "message":
            return _message(draw, pick, side, end)
        case "send":
            return _send(draw, pick, side, end)
        case "trailers":
            return _of_a_call(pick, Session.trailers, side, _CALL, draw(_metadata))
        case "reset":
            return _of_a_call(pick, Session.reset, side, _CALL)
        case "push":
            return _of_a_call(pick, Session.push, _CALL, draw(_methods), draw(_metadata))
        case _:
            data = draw(st.binary(min_size=8, max_size=8))
            return lambda s: s.ping(side, data)


@st.composite
def _sessions(draw: st.DrawFn) -> Session:
    """A session that has been played; each side changes its settings once on the way."""
    session = Session()
    for metadata in draw(st.lists(_metadata, min_size=1, max_size=3)):
        session.open(draw(_methods), metadata, grpc=True, end=False, weight=0)
    session.exchange()
    for side in ("client", "server"):
        changed = {
            SettingCodes.HEADER_TABLE_SIZE: draw(st.sampled_from([0, 100, 4096, 65_536])),
            SettingCodes.MAX_FRAME_SIZE: draw(st.sampled_from([2**14, 2**15, 2**24 - 1])),
        }
        for act in draw(st.lists(_acts(), min_size=3, max_size=12)):
            act(session)
        session.settings(side, changed)  # type: ignore[arg-type]
    for act in draw(st.lists(_acts(), max_size=12)):
        act(session)
    session.exchange()
    return session


def _frames(wire: bytes) -> list[tuple[int, int, int]]:
    """Type, stream and length of each frame, as hyperframe finds them."""
    found = []
    while wire:
        frame, length = Hyperframe.parse_frame_header(memoryview(wire[:9]))
        found.append((wire[3], frame.stream_id, length))
        wire = wire[9 + length :]
    return found


@settings(max_examples=80)
@given(_sessions(), cuts)
def test_events_tell_exactly_what_h2_sent_however_the_bytes_are_cut(
    session: Session, where: list[int]
) -> None:
    parser = Http2Parser(7, NO_SCHEMA)
    seen: list[Event] = []
    for direction, data in session.wire:
        for piece in pieces(data, where):
            seen += parser.feed(direction, piece, 1.5)
    assert [event for event in seen if isinstance(event, ParseFailed)] == []
    assert [told(event) for event in seen if isinstance(event, Headers | Message)] == session.said
    assert {(event.connection, event.time) for event in seen} <= {(7, 1.5)}
    for side in ("client", "server"):
        wire = b"".join(data for direction, data in session.wire if direction == side)
        frames = [event for event in seen if isinstance(event, Frame) and event.direction == side]
        expected = _frames(wire.removeprefix(PREFACE))
        assert [(frame.stream, frame.length) for frame in frames] == [one[1:] for one in expected]


@given(_sessions())
@settings(max_examples=20)
def test_bytes_one_at_a_time_tell_the_same_as_all_at_once(session: Session) -> None:
    at_once, one_by_one = Http2Parser(1, USERS), Http2Parser(1, USERS)
    for direction, data in session.wire:
        whole = list(at_once.feed(direction, data, 0.0))
        # Of a long message a part will do: its middle bytes are all alike.
        places = {*range(600), *range(max(0, len(data) - 600), len(data))}
        in_parts: list[Event] = []
        for part in pieces(data, sorted(places)):
            in_parts += one_by_one.feed(direction, part, 0.0)
        # Before its first request, a client's frame is told of when it begins as well.
        assert [event for event in in_parts if not isinstance(event, PartialFrame)] == whole


def test_the_sessions_hold_what_they_are_meant_to_hold() -> None:
    """A twin of the tests above: sessions of nothing would pass them as well."""
    session = Session()
    session.open("/a.B/C", [(b"x-a", 5_000 * b"long")], grpc=True, end=False, weight=0)
    session.exchange()
    (call,) = session.calls
    session.queue("client", call, b"asked", compressed=False)
    session.send("client", call, 100, padding=3, end=True)
    session.inform(call, [])
    session.answer(call, [], grpc=True, end=False)
    session.queue("server", call, b"answered", compressed=True)
    session.push(call, "/pushed", [])
    session.send("server", call, 100, padding=0, end=False)
    session.trailers("server", call, [])
    session.exchange()
    assert [(said.direction, said.kind) for said in session.said] == [
        ("client", "request"),
        ("client", "message"),
        ("server", "informational"),
        ("server", "response"),
        ("server", "push"),
        ("server", "trailers-only"),
        ("server", "message"),
        ("server", "trailers"),
    ]


# Bytes that went wrong. Whatever they are, nothing is raised and little is held.

_LITTLE = 128 * 1024  # two header blocks and two frames are below this in these short sessions


def _feed_all(parts: list[tuple[Direction, bytes]]) -> list[Event]:
    parser = Http2Parser(1, USERS)
    seen: list[Event] = []
    for direction, data in parts:
        silent = parser.failed
        new = list(parser.feed(direction, data, 0.0))
        assert not (silent and new)
        seen += new
        assert parser.buffered <= _LITTLE
    failed = [event for event in seen if isinstance(event, ParseFailed) and not event.stream]
    assert len(failed) == parser.failed
    assert failed == [] or seen[-1] is failed[0]
    if parser.failed:
        assert (parser.buffered, parser.open_streams) == (0, 0)
    return seen


def _recorded() -> list[tuple[Direction, bytes]]:
    """A session with something of everything, split as it was sent."""
    session = Session()
    session.settings("client", {SettingCodes.HEADER_TABLE_SIZE: 200})
    for number in range(3):
        metadata = [(n.encode(), v.encode()) for n, v in request_fields()[4:]]
        session.open("/users.v1.UserService/GetUser", metadata, grpc=True, end=False, weight=number)
    session.exchange()
    for call in session.calls[:2]:
        session.queue("client", call, b"\x08\x01", compressed=False)
        session.send("client", call, 100, padding=call.stream, end=True)
        session.inform(call, [])
        session.answer(call, [(b"x-a", b"b")], grpc=True, end=False)
        session.push(call, "/pushed", [])
        session.exchange()
        session.queue("server", call, b"\x08\x01\x12\x07Nicolas", compressed=False)
        session.send("server", call, 7, padding=0, end=False)
        session.send("server", call, 100, padding=0, end=False)
        session.trailers("server", call, [])
    session.ping("server", b"12345678")
    session.reset("client", session.calls[-1])
    session.exchange()
    return session.wire


_RECORDED = _recorded()


@settings(max_examples=200)
@given(mutated(_RECORDED))
def test_a_session_gone_wrong_never_raises(parts: list[tuple[Direction, bytes]]) -> None:
    _feed_all(parts)


def test_the_same_session_passes_when_nothing_went_wrong() -> None:
    seen = _feed_all(_RECORDED)
    assert not any(isinstance(event, ParseFailed) for event in seen)
    values = [event.value for event in seen if isinstance(event, Message)]
    assert values == [{"id": "1"}, {"id": "1"}] + 2 * [{"id": "1", "name": "Nicolas"}]


@settings(max_examples=200)
@given(st.lists(st.tuples(sides, st.one_of(any_frames(), st.binary(max_size=30))), max_size=25))
def test_arbitrary_frames_never_raise(parts: list[tuple[Direction, bytes]]) -> None:
    _feed_all([*_RECORDED[:2], *parts])


@given(st.lists(st.tuples(sides, st.binary(max_size=100))))
def test_arbitrary_bytes_never_raise(parts: list[tuple[Direction, bytes]]) -> None:
    _feed_all(parts)
