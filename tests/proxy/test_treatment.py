"""The moment at which a connection is interrupted: the same however the bytes are cut."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import hyperframe.frame as hf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.proxy.treatment import Interruption

How = Literal["goaway", "reset", "cut"]
HOW: tuple[How, ...] = get_args(How)

Frames = Sequence[hf.Frame]


def settings() -> hf.Frame:
    return hf.SettingsFrame(0)


def ping() -> hf.Frame:
    return hf.PingFrame(0, bytes(8))


def headers(stream: int, *flags: str) -> hf.Frame:
    return hf.HeadersFrame(stream, b"\x88", flags=flags)


def continuation(stream: int, *flags: str) -> hf.Frame:
    return hf.ContinuationFrame(stream, b"\x88", flags=flags)


def data(stream: int, size: int, *flags: str) -> hf.Frame:
    return hf.DataFrame(stream, bytes(size), flags=flags)


def serialized(frames: Frames) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


def given_out(how: How, pieces: Iterable[bytes], *, http2: bool = True) -> tuple[bytes, int | None]:
    """What passes, and how much had come when the moment did; None if it did not."""
    interruption = Interruption(how, http2=http2)
    out, seen, moment = b"", 0, None
    for piece in pieces:
        out += interruption.passes(piece)
        seen += len(piece)
        if interruption.due and moment is None:
            moment = seen
    return out, moment


# An answer of gRPC, and what may stand between its frames.
ANSWER = [
    settings(),
    headers(1, "END_HEADERS"),
    data(1, 5),
    ping(),
    headers(1, "END_STREAM"),
    continuation(1, "END_HEADERS"),
    ping(),
    headers(3, "END_HEADERS"),
]
# Behind this many of its frames the moment is.
BEHIND: dict[How, int] = {"cut": 3, "reset": 6, "goaway": 6}

frames = st.lists(
    st.one_of(
        st.just(settings()),
        st.just(ping()),
        st.builds(headers, st.integers(1, 9), st.just("END_HEADERS")),
        st.builds(data, st.integers(1, 9), st.integers(0, 300)),
        st.builds(data, st.integers(1, 9), st.integers(0, 300), st.just("END_STREAM")),
        st.builds(headers, st.integers(1, 9), st.just("END_HEADERS"), st.just("END_STREAM")),
    ),
    max_size=12,
)


@pytest.mark.parametrize("how", HOW)
def test_the_moment_is_behind_the_right_frame(how: How) -> None:
    single = [bytes([byte]) for byte in serialized(ANSWER)]
    out, moment = given_out(how, single)
    before = serialized(ANSWER[: BEHIND[how]])
    assert moment == len(before)
    rest = {"cut": b"", "reset": serialized(ANSWER[BEHIND[how] :])}.get(how)
    if rest is None:
        goaway, length = hf.Frame.parse_frame_header(memoryview(out[len(before) :])[:9])
        assert isinstance(goaway, hf.GoAwayFrame)
        goaway.parse_body(memoryview(out[len(before) + 9 :])[:length])
        assert (goaway.last_stream_id, goaway.error_code) == (2**31 - 1, 0)
        rest = goaway.serialize() + serialized(ANSWER[BEHIND[how] :])
    assert out == before + rest


@given(frames=frames, cuts=st.sets(st.integers(0, 2000)), how=st.sampled_from(HOW))
def test_it_is_the_same_however_the_bytes_are_cut(frames: Frames, cuts: set[int], how: How) -> None:
    whole = serialized(frames)
    at = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[i:j] for i, j in itertools.pairwise(at)]
    single = [bytes([byte]) for byte in whole]
    out, moment = given_out(how, pieces)
    again, first = given_out(how, single)
    assert out == again
    assert (moment is None) == (first is None)
    if first is None:
        assert out == whole
    elif moment is not None:
        assert first <= moment
        assert out.startswith(whole[:first])


@given(frames=frames, how=st.sampled_from(HOW))
def test_what_passes_is_what_was_sent_but_for_a_goaway(frames: Frames, how: How) -> None:
    whole = serialized(frames)
    out, moment = given_out(how, [whole])
    ends = [frame for frame in frames if "END_STREAM" in frame.flags]
    messages = [
        frame
        for frame in frames
        if isinstance(frame, hf.DataFrame) and "END_STREAM" not in frame.flags
    ]
    assert (moment is not None) == bool(messages if how == "cut" else ends)
    if how == "goaway" and ends:
        assert len(out) == len(whole) + 17
    elif how != "cut":
        assert out == whole
    else:
        assert whole.startswith(out)


@pytest.mark.parametrize("how", HOW)
def test_of_anything_but_http2_the_first_bytes_are_the_moment(how: How) -> None:
    out, moment = given_out(how, [b"HTTP/1.1 200 OK\r\n", b"\r\n"], http2=False)
    assert moment == len(b"HTTP/1.1 200 OK\r\n")
    assert out == b"HTTP/1.1 200 OK\r\n" + (b"" if how == "cut" else b"\r\n")
