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
from mitm.wire.grpc import MAX_HELD, MAX_IN_FRAME, MAX_MESSAGE_SIZE, TRUNCATED_SIZE
from mitm.wire.header_blocks import EXPANDED_FREELY, EXPANSION, MAX_HEADER_LIST
from mitm.wire.http2 import MAX_HEADER_BLOCK, MAX_STREAMS, MAX_UNACKNOWLEDGED
from tests.wire.conversation import (
    GET_USER,
    Conversation,
    data,
    failure,
    lost,
    message,
    only,
    request_fields,
)

_MIB = 1024 * 1024


def test_a_flood_of_continuation_is_not_kept() -> None:
    """It is decoded for the sake of HPACK's state, and the stream alone is lost."""
    talk = Conversation()
    begin = HeadersFrame(1, talk.block("client", request_fields()))
    talk.send("client", begin)
    frame = ContinuationFrame(1, 1024 * b"\x82")
    for _ in range(10 * MAX_HEADER_BLOCK // 1024):
        assert only(events.ParseFailed, talk.send("client", frame)) == []
        assert talk.parser.buffered <= MAX_HEADER_BLOCK + MAX_HEADER_LIST
    seen = talk.send("client", ContinuationFrame(1, b"", flags=["END_HEADERS"]))
    (request,) = only(events.Headers, seen)
    assert (request.kind, request.truncated) == ("request", True)
    assert list(request.headers[:6]) == list(request_fields())
    assert lost(seen) == (1, f"header list longer than {MAX_HEADER_LIST} bytes")
    assert talk.parser.buffered == 0
    # The others are read on, with the entries that the long block has left in the table.
    (next_one,) = only(events.Headers, talk.request(3))
    assert list(next_one.headers) == list(request_fields())
    assert not next_one.truncated


def test_a_value_that_is_too_long_costs_its_stream_alone() -> None:
    talk = Conversation()
    fields = [*request_fields(), ("x-long", 3 * MAX_HEADER_BLOCK * "v"), ("x-short", "v")]
    block = talk.block("client", fields, huffman=False)
    parts = [block[i : i + 16_000] for i in range(0, len(block), 16_000)]
    seen = talk.send(
        "client",
        HeadersFrame(1, parts[0]),
        *(ContinuationFrame(1, part) for part in parts[1:]),
        ContinuationFrame(1, b"", flags=["END_HEADERS"]),
    )
    (request,) = only(events.Headers, seen)
    assert request.headers == (*request_fields(), ("x-short", "v"))
    assert request.truncated
    assert lost(seen)[0] == 1
    assert only(events.Message, talk.send("client", data(1, message(b"x")))) == []
    assert len(only(events.Headers, talk.request(3))) == 1
    assert len(only(events.Message, talk.send("client", data(3, message(b"x"))))) == 1


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


def test_a_header_bomb_costs_its_stream_alone() -> None:
    talk = Conversation()
    talk.request()
    fill = talk.headers("client", 1, [("x", 4000 * "x")])
    talk.send("client", fill)
    seen = talk.send("client", HeadersFrame(3, 100 * b"\xbe", flags=["END_HEADERS"]))
    (told,) = only(events.Headers, seen)
    assert (len(told.headers), told.truncated) == (16, True)
    assert lost(seen) == (3, f"header list longer than {MAX_HEADER_LIST} bytes")
    (again,) = only(events.Headers, talk.send("client", talk.headers("client", 5, fill_of(5))))
    assert again.headers == tuple(fill_of(5))


def fill_of(number: int) -> list[tuple[str, str]]:
    return [(":path", f"/{number}"), ("x", 4000 * "x")]


def _bombs(count: int) -> tuple[int, int]:
    """Bytes of many small header bombs, no two alike; and the bytes that are told of them."""
    talk = Conversation()
    talk.request()
    talk.send("client", talk.headers("client", 1, [("x", 4000 * "x")]))
    newest, method = b"\xbe", b"\x82"
    blocks = [(n % 15) * newest + (n // 15) * method for n in range(1, count)]
    wire = b"".join(HeadersFrame(1, b, flags=["END_HEADERS"]).serialize() for b in blocks)
    told = 0
    for event in talk.parser.feed("client", wire, 0.0):
        if isinstance(event, events.Headers):
            told += sum(len(name) + len(value) for name, value in event.headers)
    assert not talk.parser.failed
    return len(wire), told


def test_many_small_header_bombs_are_told_in_proportion_to_their_bytes() -> None:
    """Each stays below the limit of a list; together they would be 25 MiB, in some 50 KiB."""
    tracemalloc.start()
    try:
        received, told = _bombs(1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told < EXPANDED_FREELY + EXPANSION * (received + 10_000)
    assert peak < 5 * _MIB


def test_blocks_of_many_references_cost_no_more_than_in_proportion() -> None:
    """36 KB of them come to 36,000 fields. Four times as many may cost four times as much."""

    def cost(blocks: int) -> tuple[float, int]:
        talk = Conversation()
        talk.request()
        talk.send("client", talk.headers("client", 1, [("x", "y")]))
        frame = HeadersFrame(1, 1800 * b"\xbe", flags=["END_HEADERS"]).serialize()
        started = time.process_time()
        fields = 0
        for event in talk.parser.feed("client", blocks * frame, 0.0):
            if isinstance(event, events.Headers):
                fields += len(event.headers)
        return time.process_time() - started, fields

    (short, few), (long, many) = cost(100), cost(400)
    assert many <= 5 * few
    assert long < 10 * short + 1


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


def test_of_more_streams_at_once_than_the_limit_the_headers_are_told() -> None:
    talk = Conversation()
    block = talk.block("client", request_fields())
    again = talk.block("client", request_fields())  # all of it in the table by now
    talk.send("client", HeadersFrame(1, block, flags=["END_HEADERS"]))
    for stream in range(3, 2 * MAX_STREAMS, 2):
        talk.send("client", HeadersFrame(stream, again, flags=["END_HEADERS"]))
    assert talk.parser.open_streams == MAX_STREAMS
    last = 2 * MAX_STREAMS + 1
    seen = talk.send("client", HeadersFrame(last, again, flags=["END_HEADERS"]))
    (request,) = only(events.Headers, seen)
    assert (request.kind, request.method) == ("request", GET_USER)
    number, reason = lost(seen)
    assert number == last
    assert str(MAX_STREAMS) in reason
    assert talk.parser.open_streams == MAX_STREAMS
    # Those that are followed are read on, and there is room again once one of them ends.
    assert len(only(events.Message, talk.send("client", data(3, message(b"x"))))) == 1
    talk.send("server", RstStreamFrame(1))
    seen = talk.send("client", HeadersFrame(last + 2, again, flags=["END_HEADERS"]))
    assert only(events.ParseFailed, seen) == []


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


def test_millions_of_empty_messages_in_a_frame_are_not_told() -> None:
    talk = Conversation()
    talk.request()
    talk.send("server", SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 2**24 - 1}))
    content = (2**20 // 5) * message(b"")
    seen = talk.send("client", data(1, content))
    number, reason = lost(seen)
    assert number == 1
    assert "messages in a frame" in reason
    assert len(only(events.Message, seen)) == MAX_IN_FRAME


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
