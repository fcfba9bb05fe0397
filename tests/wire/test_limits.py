"""Whatever a peer sends, memory stays bounded, and time in proportion to the bytes."""

import time
import tracemalloc

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from mitm import events
from mitm.wire import frames
from mitm.wire.frames import FrameReader
from mitm.wire.grpc import MAX_HELD, MAX_MESSAGE_SIZE, TRUNCATED_SIZE
from mitm.wire.header_blocks import MAX_HEADER_LIST
from mitm.wire.http2 import MAX_HEADER_BLOCK, MAX_STREAMS, MAX_UNACKNOWLEDGED
from tests.wire.conversation import Conversation, data, failure, message, only, request_fields

_MIB = 1024 * 1024


def test_a_flood_of_continuation_ends_at_the_limit() -> None:
    talk = Conversation()
    talk.send("client", HeadersFrame(1, b""))
    frame = ContinuationFrame(1, 1024 * b"\x82")
    for _ in range(MAX_HEADER_BLOCK // 1024):
        assert only(events.ParseFailed, talk.send("client", frame)) == []
        assert talk.parser.buffered <= MAX_HEADER_BLOCK
    assert "header block" in failure(talk.send("client", frame))
    assert talk.parser.buffered == 0


def test_a_flood_of_empty_continuation_holds_nothing() -> None:
    talk = Conversation()
    talk.send("client", HeadersFrame(1, b""))
    flood = 1000 * ContinuationFrame(1, b"").serialize()
    for _ in range(10):
        assert len(talk.feed("client", flood)) == 1000
        assert talk.parser.buffered == 0


def test_a_header_block_just_within_the_limit_is_read() -> None:
    talk = Conversation()
    value = (MAX_HEADER_LIST - 2000) * b"x"
    block = hpack.Encoder().encode(
        [(n.encode(), v.encode()) for n, v in request_fields()] + [(b"x", value)], huffman=False
    )
    parts = [block[i : i + 16_000] for i in range(0, len(block), 16_000)]
    seen = talk.send("client", HeadersFrame(1, parts[0]))
    for part in parts[1:-1]:
        seen += talk.send("client", ContinuationFrame(1, part))
    seen += talk.send("client", ContinuationFrame(1, parts[-1], flags=["END_HEADERS"]))
    (headers,) = only(events.Headers, seen)
    assert dict(headers.headers)["x"] == value.decode()


def test_a_header_bomb_ends_at_the_limit() -> None:
    talk = Conversation()
    talk.request()
    fill = talk.headers("client", 1, [("x", 4000 * "x")])
    talk.send("client", fill)
    assert "HPACK" in failure(
        talk.send("client", HeadersFrame(1, 100 * b"\xbe", flags=["END_HEADERS"]))
    )


def test_many_small_header_bombs_are_not_gathered() -> None:
    """Each block stays below the limit; together they tell of 25 MiB, in some 50 KiB."""
    talk = Conversation()
    talk.request()
    talk.send("client", talk.headers("client", 1, [("x", 4000 * "x")]))
    newest, method = b"\xbe", b"\x82"
    # No two alike, so that none is remembered.
    blocks = [(n % 15) * newest + (n // 15) * method for n in range(1, 1000)]
    wire = b"".join(HeadersFrame(1, b, flags=["END_HEADERS"]).serialize() for b in blocks)
    told = 0
    tracemalloc.start()
    try:
        for event in talk.parser.feed("client", wire, 0.0):
            if isinstance(event, events.Headers):
                told += sum(len(value) for _, value in event.headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told > 25 * _MIB
    assert peak < 5 * _MIB


def test_a_never_ending_message_is_not_kept() -> None:
    talk = Conversation()
    talk.request()
    chunk = data(1, 16_000 * b"x").serialize()
    talk.send("client", data(1, b"\0\xff\xff\xff\xff"))
    for _ in range(1000):
        talk.feed("client", chunk)
        assert talk.parser.buffered <= TRUNCATED_SIZE
    assert not talk.parser.failed


def test_unfinished_messages_of_many_streams_share_a_limit() -> None:
    talk = Conversation()
    count = MAX_HELD // MAX_MESSAGE_SIZE + 3
    chunk = 16_000 * b"x"
    for stream in range(1, 2 * count, 2):
        talk.request(stream)
        talk.send("client", data(stream, b"\0" + MAX_MESSAGE_SIZE.to_bytes(4, "big")))
    for _ in range(MAX_MESSAGE_SIZE // len(chunk)):
        for stream in range(1, 2 * count, 2):
            talk.send("client", data(stream, chunk))
        assert talk.parser.buffered <= MAX_HELD
    assert not talk.parser.failed
    for stream in range(1, 2 * count, 2):
        talk.send("server", RstStreamFrame(stream))
    assert talk.parser.buffered == 0


def test_more_streams_at_once_than_the_limit_are_refused() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields())
    again = talk.block("client", request_fields())  # all of it in the table by now
    talk.send("client", HeadersFrame(1, block, flags=["END_HEADERS"]))
    for stream in range(3, 2 * MAX_STREAMS, 2):
        talk.send("client", HeadersFrame(stream, again, flags=["END_HEADERS"]))
    assert talk.parser.open_streams == MAX_STREAMS
    last = HeadersFrame(2 * MAX_STREAMS + 1, again, flags=["END_HEADERS"])
    assert str(MAX_STREAMS) in failure(talk.send("client", last))
    assert talk.parser.open_streams == 0


def test_any_number_of_streams_may_follow_each_other() -> None:
    talk = Conversation()
    talk.request(1, "END_STREAM")
    talk.trailers(1)
    request = talk.block("client", request_fields())
    trailers = talk.block("server", [("grpc-status", "0")])
    for stream in range(3, 2 * MAX_STREAMS + 1001, 2):
        ended = ["END_HEADERS", "END_STREAM"]
        talk.send("client", HeadersFrame(stream, request, flags=ended))
        talk.send("server", HeadersFrame(stream, trailers, flags=ended))
        assert talk.parser.open_streams == 0
    assert not talk.parser.failed


def test_settings_that_nobody_acknowledges_are_counted() -> None:
    talk = Conversation()
    one = SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**15})
    for _ in range(MAX_UNACKNOWLEDGED - 1):
        talk.send("client", one)
    assert not talk.parser.failed
    failure(talk.send("client", one))


def test_settings_that_are_acknowledged_may_go_on_for_ever() -> None:
    talk = Conversation()
    for _ in range(2 * MAX_UNACKNOWLEDGED):
        talk.send("client", SettingsFrame(0))
        talk.send("server", SettingsFrame(0, flags=["ACK"]))
    assert not talk.parser.failed


def test_a_table_of_4_gib_is_not_granted() -> None:
    talk = Conversation()
    talk.send("server", SettingsFrame(0, {SettingsFrame.HEADER_TABLE_SIZE: 2**32 - 1}))
    update = b"\x3f\xe0\xff\xff\xff\x0f"  # a table of 4 GiB (RFC 7541 section 6.3)
    assert "HPACK" in failure(
        talk.send("client", HeadersFrame(1, update + b"\x82", flags=["END_HEADERS"]))
    )


def test_millions_of_empty_messages_in_a_frame_are_refused() -> None:
    talk = Conversation()
    talk.request()
    talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**24 - 1}))
    content = (2**20 // 5) * message(b"")
    assert "messages in a frame" in failure(talk.send("client", data(1, content)))


def test_bytes_that_come_a_few_at_a_time_cost_no_more_than_in_proportion() -> None:
    """Copied at each step, these would be 270 GB: half a minute, not a tenth of a second."""
    size = 4 * _MIB
    wire = DataFrame(1, size * b"x").serialize()
    reader = FrameReader()
    reader.max_frame_size = frames.LARGEST_MAX_FRAME_SIZE
    started = time.process_time()
    read = []
    for start in range(0, len(wire), 32):
        read += list(reader.feed(wire[start : start + 32]))
    assert [len(frame.payload) for frame in read] == [size]
    assert time.process_time() - started < 5


def test_a_message_in_tiny_frames_costs_no_more_than_in_proportion() -> None:
    """Copied at each step, these would be 270 GB."""
    talk = Conversation()
    talk.request()
    size, step = MAX_MESSAGE_SIZE, 32
    started = time.process_time()
    talk.send("client", data(1, b"\0" + size.to_bytes(4, "big")))
    tiny = data(1, step * b"x").serialize()
    seen = []
    for _ in range(size // step // 16):
        seen += only(events.Message, talk.feed("client", 16 * tiny))
    assert [sent.size for sent in seen] == [size]
    assert time.process_time() - started < 5
