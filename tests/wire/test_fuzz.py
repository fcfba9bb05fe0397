"""A fuzz smoke test: ten million bytes and more of sessions gone wrong, random frames and floods.

Bytes count only as long as the parser still reads: once it has given up, it is fed nothing more.
The seeds are fixed, so that what fails once fails again.
"""

import gzip
import random
import time
from collections.abc import Callable, Iterator

import hpack
import pytest

from mitm.events import Direction, Event, ParseFailed
from mitm.wire import Http1Parser, Http2Parser
from mitm.wire.frames import DEFAULT_MAX_FRAME_SIZE
from mitm.wire.grpc import MAX_HELD, MAX_MESSAGE_SIZE
from mitm.wire.header_blocks import MAX_HEADER_LIST
from mitm.wire.http2 import MAX_HEADER_BLOCK, MAX_HEADER_TABLE, MAX_STREAMS
from tests.wire.conversation import PREFACE, REQUEST, USER, USERS, message, request_fields
from tests.wire.test_http1 import _CALL as WEB_CALL
from tests.wire.test_sessions import _RECORDED as RECORDED

Part = tuple[Direction, bytes]
Source = Callable[[random.Random], Iterator[Part]]

# What one connection may hold: messages, and for each side a frame and a header block with its list
# so far, and with a string that may fit the table once it is decoded.
_MOST_HELD = MAX_HELD + 2 * (
    MAX_HEADER_BLOCK + MAX_HEADER_LIST + 4 * MAX_HEADER_TABLE + DEFAULT_MAX_FRAME_SIZE + 9
)

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


_START: list[Part] = [
    ("client", PREFACE + frame(SETTINGS, 0, 0)),
    ("server", frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0)),
    ("client", frame(SETTINGS, 1, 0)),
]


def _block(*fields: tuple[str, str], type_: str = "application/grpc") -> bytes:
    """A header block that leaves no trace in the table, and so can be sent again and again."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    wire = encoder.encode([*request_fields(content_type=type_), *fields])
    return wire[wire.index(b"\x83") :] if wire[0] >> 5 == 1 else wire


def _sessions_gone_wrong(rng: random.Random) -> Iterator[Part]:
    """A real session with some bytes changed, mostly far from its beginning."""
    parts = [[direction, bytearray(wire)] for direction, wire in RECORDED]
    for _ in range(rng.randint(1, 4)):
        wire = parts[rng.randrange(1, len(parts))][1]
        assert isinstance(wire, bytearray)
        if wire:
            wire[rng.randrange(len(wire))] = rng.randrange(256)
    for direction, wire in parts:
        cut = rng.randrange(len(wire) + 1)
        yield direction, bytes(wire[:cut])  # type: ignore[misc, arg-type]
        yield direction, bytes(wire[cut:])  # type: ignore[misc, arg-type]


def _messages_gone_wrong(rng: random.Random) -> Iterator[Part]:
    """Calls whose messages are no messages, in frames that are in order."""
    yield from _START
    block = _block(("grpc-encoding", rng.choice(["gzip", "deflate", "snappy"])))
    for stream in range(1, 401, 2):
        parts = bytearray(frame(HEADERS, 4, stream, block))
        for _ in range(4):
            content = bytearray(rng.choice([USER, REQUEST, 3 * USER, gzip.compress(USER)]))
            content[rng.randrange(len(content))] = rng.randrange(256)
            content += rng.randbytes(rng.choice([0, 0, 3, 30]))
            sent = message(bytes(content), compressed=rng.random() < 0.2)
            cut = rng.randrange(len(sent) + 1)
            parts += frame(DATA, 0, stream, sent[:cut]) + frame(DATA, 0, stream, sent[cut:])
        yield "client", bytes(parts + frame(RST, 0, stream, bytes(4)))


def _any_frames(rng: random.Random) -> Iterator[Part]:
    """Frames of any type, with any flags, on streams that mostly exist."""
    yield from _START
    yield "client", b"".join(frame(HEADERS, 4, stream, _block()) for stream in range(1, 20, 2))
    kinds = [DATA, DATA, DATA, PING, WINDOW, GOAWAY, SETTINGS, 2, 10, 12, 16, 99]
    lengths = {PING: 8, WINDOW: 4, SETTINGS: 0, 2: 5, GOAWAY: 8}
    for _ in range(40):
        wire = bytearray()
        for _ in range(40):
            kind = rng.choice(kinds)
            stream = 0 if kind in (PING, GOAWAY, SETTINGS) else rng.randrange(1, 20, 2)
            length = lengths.get(kind, rng.randrange(40))
            payload = rng.randbytes(length)
            if kind == DATA:
                payload = message(payload)
            flags = rng.choice([0, 0, 0, 1, 0x40, 0x80] if kind == SETTINGS else [0, 0x40])
            wire += frame(kind, flags & ~1 if kind == DATA else flags, stream, payload)
        if rng.random() < 0.05:
            wire += rng.randbytes(20)
        yield "client", bytes(wire)
        yield "server", 10 * frame(SETTINGS, 1, 0)


def _any_bytes(rng: random.Random) -> Iterator[Part]:
    yield from _START
    while True:
        yield rng.choice(["client", "server"]), rng.randbytes(rng.randrange(1, 60))


def _continuation_flood(rng: random.Random) -> Iterator[Part]:
    yield from _START
    yield "client", frame(HEADERS, 0, 1)
    while True:
        yield "client", rng.randrange(500) * frame(CONTINUATION, 0, 1, b"\x82"[: rng.randrange(2)])


def _tiny_frames(rng: random.Random) -> Iterator[Part]:
    """A message byte by byte, and empty frames in between."""
    yield from _START
    yield "client", frame(HEADERS, 4, 1, _block())
    yield "client", frame(DATA, 0, 1, b"\0" + MAX_MESSAGE_SIZE.to_bytes(4, "big"))
    tiny = frame(DATA, 0, 1, b"x") + frame(DATA, 0, 1) + frame(DATA, 8, 1, b"\0")
    for _ in range(100):
        yield "client", rng.randrange(400) * tiny


def _control_flood(rng: random.Random) -> Iterator[Part]:
    """SETTINGS with their ACKs, PINGs, window updates and resets without end."""
    yield from _START
    settings = frame(SETTINGS, 0, 0, 5 * b"\0\x01\0\0\x10\0")
    for _ in range(60):
        yield "client", 20 * settings + rng.randrange(200) * frame(PING, 0, 0, rng.randbytes(8))
        yield "server", 20 * frame(SETTINGS, 1, 0) + 50 * frame(WINDOW, 0, 0, b"\0\0\0\1")


def _header_bombs(rng: random.Random) -> Iterator[Part]:
    """A long value in the table, named by a byte, as often as a header list may hold it."""
    yield from _START
    long = b"\x40\x01x\x7f" + hpack_length(3900) + 3900 * b"v"
    yield "client", frame(HEADERS, 4, 1, _block() + long)
    for _ in range(40):
        blocks = [rng.randrange(1, 15) * b"\xbe" + rng.randrange(40) * b"\x82" for _ in range(10)]
        yield "client", b"".join(frame(HEADERS, 4, 1, block) for block in blocks)


def hpack_length(value: int) -> bytes:
    """What follows the seven bits of an integer (RFC 7541 section 5.1)."""
    value -= 127
    wire = b""
    while value > 127:
        wire += bytes([value & 127 | 128])
        value >>= 7
    return wire + bytes([value])


def _large_tables(rng: random.Random) -> Iterator[Part]:
    """A table of a megabyte that is filled with small entries, and emptied again."""
    yield from _START
    yield "server", frame(SETTINGS, 0, 0, b"\0\x01" + (2**32 - 1).to_bytes(4, "big"))
    yield "client", frame(SETTINGS, 1, 0)
    yield "client", frame(HEADERS, 4, 1, b"\x3f\xe1\xff\x3f" + _block())
    for _ in range(60):
        entries = b"".join(b"\x40\x02" + rng.randbytes(2) + b"\x01v" for _ in range(1000))
        empty = b"\x20\x3f\xe1\xff\x3f" if rng.random() < 0.3 else b""
        yield "client", frame(HEADERS, 4, 1, empty + entries)


def _many_streams(rng: random.Random) -> Iterator[Part]:
    yield from _START
    block = _block()
    for start in range(1, 2 * MAX_STREAMS - 1, 200):
        streams = range(start, start + 200, 2)
        yield "client", b"".join(frame(HEADERS, 4, stream, block) for stream in streams)
        begun = b"\0" + rng.randbytes(4)
        yield "client", b"".join(frame(DATA, 0, stream, begun) for stream in streams)


def _web_gone_wrong(rng: random.Random) -> Iterator[Part]:
    for _ in range(20):
        for direction, wire in WEB_CALL:
            changed = bytearray(wire)
            if rng.random() < 0.05:
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            yield direction, bytes(changed)


def _ends(event: Event | None) -> bool:
    return isinstance(event, ParseFailed) and not event.stream


def _feed(source: Source, parser: Http1Parser | Http2Parser, rng: random.Random, room: int) -> int:
    """Feed one connection up to its end, the parser's, or the room there is; the bytes read."""
    fed = 0
    for direction, data in source(rng):
        last: Event | None = None
        for event in parser.feed(direction, data, 0.0):
            assert not _ends(last)
            last = event
        assert parser.failed == _ends(last)
        assert parser.buffered <= _MOST_HELD
        if parser.failed:
            assert parser.buffered == 0
            break
        fed += len(data)
        if fed > room:
            break
    return fed


# How many bytes of each: together more than ten million.
_SHARES: dict[Source, float] = {
    _sessions_gone_wrong: 2.5,
    _messages_gone_wrong: 1.5,
    _any_frames: 1.5,
    _any_bytes: 0.01,
    _continuation_flood: 0.7,
    _tiny_frames: 1.2,
    _control_flood: 1,
    _header_bombs: 0.2,
    _large_tables: 1,
    _many_streams: 0.7,
    _web_gone_wrong: 0.7,
}


@pytest.mark.parametrize("source", _SHARES, ids=lambda source: source.__name__.strip("_"))
def test_the_parser_survives(source: Source) -> None:
    wanted = int(_SHARES[source] * 1e6)
    fed = connections = 0
    started = time.process_time()
    while fed < wanted:
        kind = Http1Parser if source is _web_gone_wrong else Http2Parser
        rng = random.Random(connections)  # noqa: S311
        fed += _feed(source, kind(1, USERS), rng, wanted - fed)
        connections += 1
    cost = time.process_time() - started
    print(f"{fed} bytes in {connections} connections, {cost / fed * 1e6:.2f} µs of CPU a byte")
    # A few µs are normal where a byte is a frame or a long header. What is quadratic in a
    # megabyte is a thousand times that.
    assert cost / fed < 100e-6


def test_the_shares_are_ten_million_bytes() -> None:
    assert sum(_SHARES.values()) >= 10


def test_a_whole_session_of_each_kind_is_read_before_it_goes_wrong() -> None:
    """A twin: what was fed is no wall of bytes that the parser gives up on at once."""
    for source in _SHARES:
        if source in (_any_bytes, _web_gone_wrong):
            continue
        fed = [_feed(source, Http2Parser(1, USERS), random.Random(n), 1000) for n in range(5)]  # noqa: S311
        assert max(fed) > 500, source
