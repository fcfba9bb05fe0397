"""Frames, compared with hyperframe, an implementation of its own."""

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
from hypothesis import given
from hypothesis import strategies as st

from mitm.wire import frames
from mitm.wire.frames import FrameReader, ProtocolError, RawFrame
from tests.cutting import cuts, pieces

_stream = st.integers(1, 2**31 - 1)
_uint32 = st.integers(0, 2**32 - 1)
_bytes = st.binary(max_size=300)


def _padding(flags: set[str]) -> st.SearchStrategy[int]:
    # hyperframe pads without the flag as well if it is told to.
    return st.integers(0, 255) if "PADDED" in flags else st.just(0)


@st.composite
def _data_frames(draw: st.DrawFn) -> Frame:
    flags = draw(st.sets(st.sampled_from(["END_STREAM", "PADDED"])))
    return DataFrame(draw(_stream), draw(_bytes), flags=flags, pad_length=draw(_padding(flags)))


@st.composite
def _headers_frames(draw: st.DrawFn) -> Frame:
    names = ["END_STREAM", "END_HEADERS", "PADDED", "PRIORITY"]
    flags = draw(st.sets(st.sampled_from(names)))
    return HeadersFrame(
        draw(_stream),
        draw(_bytes),
        flags=flags,
        pad_length=draw(_padding(flags)),
        depends_on=draw(st.integers(0, 2**31 - 1)),
        stream_weight=draw(st.integers(0, 255)),
        exclusive=draw(st.booleans()),
    )


@st.composite
def _push_promise_frames(draw: st.DrawFn) -> Frame:
    flags = draw(st.sets(st.sampled_from(["END_HEADERS", "PADDED"])))
    return PushPromiseFrame(
        draw(_stream),
        draw(st.integers(1, 2**30)) * 2,
        draw(_bytes),
        flags=flags,
        pad_length=draw(_padding(flags)),
    )


@st.composite
def _extension_frames(draw: st.DrawFn) -> Frame:
    body = draw(_bytes)
    frame = ExtensionFrame(
        draw(st.integers(0x20, 0xFF)), draw(_stream), flag_byte=draw(st.integers(0, 255)), body=body
    )
    # hyperframe learns the length when it parses such a frame, not when it makes one.
    frame.body_len = len(body)
    return frame


_settings = st.dictionaries(st.integers(0x10, 0xFF), _uint32, max_size=frames.MAX_SETTINGS)
_frames = st.one_of(
    _data_frames(),
    _headers_frames(),
    _push_promise_frames(),
    st.builds(
        PriorityFrame,
        _stream,
        depends_on=st.integers(0, 2**31 - 1),
        stream_weight=st.integers(0, 255),
        exclusive=st.booleans(),
    ),
    st.builds(RstStreamFrame, _stream, _uint32),
    st.builds(SettingsFrame, settings=_settings),
    st.just(SettingsFrame(flags=["ACK"])),
    st.builds(
        PingFrame,
        opaque_data=st.binary(min_size=8, max_size=8),
        flags=st.sampled_from([[], ["ACK"]]),
    ),
    st.builds(
        GoAwayFrame,
        last_stream_id=st.integers(0, 2**31 - 1),
        error_code=_uint32,
        additional_data=_bytes,
    ),
    st.builds(WindowUpdateFrame, st.just(0), st.integers(1, 2**31 - 1)),
    st.builds(ContinuationFrame, _stream, _bytes, flags=st.sampled_from([[], ["END_HEADERS"]])),
    st.builds(AltSvcFrame, _stream, st.just(b""), _bytes),
    _extension_frames(),
)


def _read(data: bytes) -> list[RawFrame]:
    return list(FrameReader().feed(data))


@given(st.lists(_frames, max_size=8), cuts)
def test_every_frame_is_what_hyperframe_wrote_however_the_bytes_are_cut(
    written: list[Frame], where: list[int]
) -> None:
    reader = FrameReader()
    wire = b"".join(frame.serialize() for frame in written)
    read = [frame for piece in pieces(wire, where) for frame in reader.feed(piece)]
    assert reader.buffered == 0
    assert len(read) == len(written)
    for ours, theirs in zip(read, written, strict=True):
        body = theirs.serialize()[9:]
        assert (ours.stream, ours.payload) == (theirs.stream_id, body)
        if not isinstance(theirs, ExtensionFrame):
            assert ours.type == theirs.type
            assert set(frames.flag_names(ours.type, ours.flags)) == set(theirs.flags)
        frames.check(ours)
        match theirs:
            case DataFrame():
                assert frames.content(ours) == theirs.data
            case PushPromiseFrame():
                assert frames.header_fragment(ours) == theirs.data
                assert frames.promised_stream(ours) == theirs.promised_stream_id
            case HeadersFrame() | ContinuationFrame():
                assert frames.header_fragment(ours) == theirs.data
            case SettingsFrame():
                assert dict(frames.settings(ours)) == theirs.settings
            case PriorityFrame():
                said = f"depends on {theirs.depends_on}, weight {theirs.stream_weight + 1}"
                assert frames.detail(ours) == said + (", exclusive" if theirs.exclusive else "")
            case PingFrame():
                assert frames.detail(ours) == theirs.opaque_data.hex()
            case WindowUpdateFrame():
                assert frames.detail(ours) == f"+{theirs.window_increment}"


@given(st.binary(max_size=400), cuts)
def test_arbitrary_bytes_are_cut_into_frames_as_hyperframe_cuts_them(
    wire: bytes, where: list[int]
) -> None:
    expected = []
    rest = wire
    too_long = False
    while len(rest) >= 9:
        _, length = Frame.parse_frame_header(memoryview(rest[:9]))
        too_long = length > 2**14
        if too_long or len(rest) < 9 + length:
            break
        expected.append(rest[: 9 + length])
        rest = rest[9 + length :]
    reader = FrameReader()
    read: list[RawFrame] = []
    try:
        for piece in pieces(wire, where):
            read.extend(reader.feed(piece))
    except ProtocolError:
        assert too_long
    else:
        assert not too_long
        assert reader.buffered == len(rest)
    assert [frame.payload for frame in read] == [frame[9:] for frame in expected][: len(read)]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (RstStreamFrame(1, 0x8), "CANCEL"),
        (RstStreamFrame(1, 0x1F), "0x1F"),
        (
            GoAwayFrame(0, 5, 0xB, b"too_many_pings"),
            "ENHANCE_YOUR_CALM, last stream 5, 'too_many_pings'",
        ),
        (GoAwayFrame(0, 7, 0), "NO_ERROR, last stream 7"),
        (
            SettingsFrame(0, {0x4: 65_535, 0x5: 16_384}),
            "INITIAL_WINDOW_SIZE=65535, MAX_FRAME_SIZE=16384",
        ),
        (SettingsFrame(0, {0xF0: 1}), "0xF0=1"),
        (WindowUpdateFrame(3, 100), "+100"),
        (PriorityFrame(3, 1, 15, True), "depends on 1, weight 16, exclusive"),
        (PingFrame(0, b"\0\1\2\3\4\5\6\7"), "0001020304050607"),
        (DataFrame(1, b"secret"), ""),
    ],
)
def test_a_control_frame_is_told_in_words(frame: Frame, said: str) -> None:
    (raw,) = _read(frame.serialize())
    assert frames.detail(raw) == said


def test_debug_data_is_shown_in_part_and_never_obeyed() -> None:
    (raw,) = _read(GoAwayFrame(0, 1, 0, b"\x1b[2J\xff" + 10_000 * b"x").serialize())
    said = frames.detail(raw)
    assert "\x1b" not in said
    assert r"\x1b[2J" in said
    assert len(said) < 2 * frames.DEBUG_DATA_SHOWN


@pytest.mark.parametrize(
    ("type_", "name"), [(0x0, "DATA"), (0x9, "CONTINUATION"), (0xA, "ALTSVC"), (0x2A, "0x2A")]
)
def test_a_frame_type_goes_by_its_name_or_its_number(type_: int, name: str) -> None:
    assert frames.type_name(type_) == name


@pytest.mark.parametrize(
    ("type_", "flags", "names"),
    [
        (0x0, 0x1, ("END_STREAM",)),
        (0x4, 0x1, ("ACK",)),
        (0x1, 0x2D, ("END_STREAM", "END_HEADERS", "PADDED", "PRIORITY")),
        (0x1, 0x40, ("0x40",)),
        (0x0, 0x4, ("0x04",)),
        (0x2A, 0x81, ("0x81",)),
    ],
)
def test_a_flag_goes_by_its_name_where_it_means_something(
    type_: int, flags: int, names: tuple[str, ...]
) -> None:
    assert frames.flag_names(type_, flags) == names


@pytest.mark.parametrize(
    "frame",
    [
        RawFrame(0x0, 0, 0, b""),  # DATA on stream 0
        RawFrame(0x1, 0, 0, b""),
        RawFrame(0x2, 0, 0, 5 * b"\0"),
        RawFrame(0x3, 0, 0, 4 * b"\0"),
        RawFrame(0x4, 0, 1, b""),  # SETTINGS on stream 1
        RawFrame(0x6, 0, 1, 8 * b"\0"),
        RawFrame(0x7, 0, 1, 8 * b"\0"),
        RawFrame(0x9, 0, 0, b""),
        RawFrame(0x2, 0, 1, 4 * b"\0"),  # wrong lengths
        RawFrame(0x3, 0, 1, 5 * b"\0"),
        RawFrame(0x6, 0, 0, 7 * b"\0"),
        RawFrame(0x7, 0, 0, 7 * b"\0"),
        RawFrame(0x8, 0, 0, 3 * b"\0"),
    ],
)
def test_a_frame_of_the_wrong_stream_or_length_is_refused(frame: RawFrame) -> None:
    with pytest.raises(ProtocolError):
        frames.check(frame)


@pytest.mark.parametrize(
    "frame",
    [
        RawFrame(0x0, 0, 1, b""),
        RawFrame(0x2, 0, 1, 5 * b"\0"),
        RawFrame(0x3, 0, 1, 4 * b"\0"),
        RawFrame(0x4, 0, 0, b""),
        RawFrame(0x6, 0, 0, 8 * b"\0"),
        RawFrame(0x7, 0, 0, 9 * b"\0"),
        RawFrame(0x8, 0, 0, 4 * b"\0"),
        RawFrame(0x8, 0, 1, 4 * b"\0"),
        RawFrame(0x2A, 0xFF, 0, b"whatever"),
    ],
)
def test_a_frame_of_the_right_stream_and_length_passes(frame: RawFrame) -> None:
    frames.check(frame)


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("000200000002"),  # ENABLE_PUSH=2
        bytes.fromhex("000480000000"),  # INITIAL_WINDOW_SIZE=2^31
        bytes.fromhex("000500003fff"),  # MAX_FRAME_SIZE=16383
        bytes.fromhex("000501000000"),  # MAX_FRAME_SIZE=2^24
        bytes.fromhex("0005000040"),  # cut short
        33 * bytes.fromhex("00f000000000"),
    ],
)
def test_settings_that_the_rfc_forbids_are_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.settings(RawFrame(0x4, 0, 0, payload))


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("000200000001"),
        bytes.fromhex("00047fffffff"),
        bytes.fromhex("000500004000"),
        bytes.fromhex("000500ffffff"),
        32 * bytes.fromhex("00f000000000"),
    ],
)
def test_settings_at_the_limits_pass(payload: bytes) -> None:
    assert len(frames.settings(RawFrame(0x4, 0, 0, payload))) == len(payload) // 6


def test_an_acknowledgement_carries_no_settings() -> None:
    assert frames.settings(RawFrame(0x4, 0x1, 0, b"")) == []
    with pytest.raises(ProtocolError):
        frames.settings(RawFrame(0x4, 0x1, 0, bytes.fromhex("000200000001")))


@pytest.mark.parametrize(
    ("type_", "flags", "payload"),
    [
        (0x0, 0x8, b""),  # PADDED without a pad length
        (0x0, 0x8, b"\x02a"),
        (0x1, 0x8, b"\x01"),
        (0x1, 0x20, b"\0\0\0\0"),  # PRIORITY with less than five bytes of it
        (0x1, 0x28, b"\x01\0\0\0\0\0"),
    ],
)
def test_padding_longer_than_the_frame_is_refused(type_: int, flags: int, payload: bytes) -> None:
    frame = RawFrame(type_, flags, 1, payload)
    with pytest.raises(ProtocolError):
        frames.content(frame) if type_ == 0x0 else frames.header_fragment(frame)


def test_padding_may_fill_the_whole_frame() -> None:
    assert frames.content(RawFrame(0x0, 0x8, 1, b"\x02\0\0")) == b""
    assert frames.header_fragment(RawFrame(0x1, 0x28, 1, b"\x01\0\0\0\0\0\0")) == b""


@pytest.mark.parametrize("flags", [0x0, 0x8])
def test_a_promise_without_its_stream_is_refused(flags: int) -> None:
    with pytest.raises(ProtocolError):
        frames.promised_stream(RawFrame(0x5, flags, 1, b"\0\0\0"))


def test_the_reserved_bits_mean_nothing() -> None:
    """RFC 9113 sections 4.1, 6.6, 6.8 and 6.9: ignored when receiving."""
    (raw,) = _read(bytes.fromhex("000000000080000001"))
    assert raw.stream == 1
    assert frames.detail(RawFrame(0x8, 0, 1, bytes.fromhex("80000005"))) == "+5"
    goaway = RawFrame(0x7, 0, 0, bytes.fromhex("8000000300000000"))
    assert frames.detail(goaway) == "NO_ERROR, last stream 3"
    assert frames.promised_stream(RawFrame(0x5, 0, 1, bytes.fromhex("80000002"))) == 2


def test_a_frame_is_as_long_as_the_receiver_allows() -> None:
    frame = DataFrame(1, (2**14) * b"x").serialize()
    longer = DataFrame(1, (2**14 + 1) * b"x").serialize()
    assert len(_read(frame)) == 1
    with pytest.raises(ProtocolError, match="16385"):
        _read(longer)
    reader = FrameReader()
    reader.max_frame_size = 2**14 + 1
    assert len(list(reader.feed(longer))) == 1


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError):
        _read(DataFrame(1, (2**14 + 1) * b"x").serialize()[:9])
