"""Compressed messages, by themselves and in a call."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import events
from mitm.wire.compression import decompress
from mitm.wire.grpc import MAX_MESSAGE_SIZE, TRUNCATED_SIZE
from tests.wire.conversation import (
    GET_USER,
    REQUEST,
    RESPONSE,
    USER,
    USERS,
    Conversation,
    data,
    message,
    only,
    request_fields,
)

_MIB = 1024 * 1024
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", _COMPRESS)
@given(sent=st.binary(max_size=500))
def test_what_was_compressed_comes_back(encoding: str, sent: bytes) -> None:
    assert decompress(encoding, _COMPRESS[encoding](sent), 1000) == sent


@pytest.mark.parametrize("encoding", [*_COMPRESS, "identity", "", "snappy", "zstd", "br"])
@given(rubbish=st.binary(max_size=100))
def test_no_bytes_make_it_raise(encoding: str, rubbish: bytes) -> None:
    assert decompress(encoding, rubbish, 1000) is None or encoding in _COMPRESS


@pytest.mark.parametrize("encoding", _COMPRESS)
def test_what_is_cut_short_or_goes_on_is_not_taken_for_the_message(encoding: str) -> None:
    compressed = _COMPRESS[encoding](100 * b"message")
    assert decompress(encoding, compressed, 1000) is not None
    assert decompress(encoding, compressed[:-1], 1000) is None
    assert decompress(encoding, compressed + b"more", 1000) is None


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=6))
def test_members_of_gzip_are_one_message(parts: list[bytes]) -> None:
    """RFC 1952 section 2.2."""
    sent, whole = b"".join(map(gzip.compress, parts)), b"".join(parts)
    assert decompress("gzip", sent, 20_000) == whole
    assert decompress("GZip", sent, 20_000) == whole
    assert decompress("gzip", sent[:-1], 20_000) is None
    short = decompress("gzip", sent, len(whole) // 2)
    assert short == whole[: len(whole) // 2 + 1]


def test_deflate_has_no_members() -> None:
    assert decompress("deflate", 2 * zlib.compress(b"message"), 1000) is None


def test_many_members_cost_no_more_than_in_proportion() -> None:
    """Copying what is left over for each of them would be 10 GB here."""
    count = 50_000
    started = time.process_time()
    assert decompress("gzip", count * gzip.compress(b"x"), _MIB) == count * b"x"
    assert time.process_time() - started < 5


@pytest.mark.parametrize("encoding", _COMPRESS)
def test_a_bomb_ends_at_the_limit(encoding: str) -> None:
    bomb = _COMPRESS[encoding](200 * _MIB * b"\0")
    tracemalloc.start()
    started = time.process_time()
    try:
        decompressed = decompress(encoding, bomb, _MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decompressed == (_MIB + 1) * b"\0"
    assert peak < 5 * _MIB
    assert time.process_time() - started < 1


def _compressed_call(encoding: str) -> Conversation:
    talk = Conversation(USERS)
    fields = request_fields(GET_USER, ("grpc-encoding", encoding))
    talk.send("client", talk.headers("client", 1, fields))
    return talk


@pytest.mark.parametrize("encoding", _COMPRESS)
def test_the_messages_of_a_compressed_call_are_read(encoding: str) -> None:
    talk = _compressed_call(encoding)
    compressed = _COMPRESS[encoding](REQUEST)
    wire = message(compressed, compressed=True) + message(REQUEST)
    sent, plain = only(events.Message, talk.send("client", data(1, wire)))
    assert (sent.compressed, sent.encoding) == (True, encoding)
    assert (sent.size, sent.decompressed_size) == (len(compressed), len(REQUEST))
    assert (sent.value, sent.raw, sent.decoded_by) == ({"id": "1"}, None, "descriptors")
    # Each message says for itself whether it is compressed.
    assert (plain.compressed, plain.encoding, plain.decompressed_size) == (False, "", None)
    assert plain.value == {"id": "1"}


def test_each_direction_has_an_encoding_of_its_own() -> None:
    talk = _compressed_call("gzip")
    fields = [*RESPONSE, ("grpc-encoding", "deflate")]
    talk.send("server", talk.headers("server", 1, fields))
    wire = message(zlib.compress(USER), compressed=True)
    (answered,) = only(events.Message, talk.send("server", data(1, wire)))
    assert answered.value == {"id": "1", "name": "Nicolas"}
    wire = message(gzip.compress(REQUEST), compressed=True)
    (asked,) = only(events.Message, talk.send("client", data(1, wire)))
    assert asked.value == {"id": "1"}


@pytest.mark.parametrize("encoding", ["snappy", "identity", "gzip"])
def test_what_cannot_be_decompressed_is_shown_as_it_was_sent(encoding: str) -> None:
    talk = _compressed_call(encoding)
    (sent,) = only(
        events.Message, talk.send("client", data(1, message(b"\xff\x06whatever", compressed=True)))
    )
    assert (sent.compressed, sent.encoding) == (True, encoding)
    assert (sent.value, sent.raw, sent.decompressed_size) == (None, b"\xff\x06whatever", None)
    assert not talk.parser.failed


def test_a_bomb_in_a_call_is_shown_as_too_long() -> None:
    talk = _compressed_call("gzip")
    wire = message(gzip.compress((MAX_MESSAGE_SIZE + 1) * b"\0"), compressed=True)
    (sent,) = only(events.Message, talk.send("client", data(1, wire)))
    assert sent.truncated
    assert sent.raw == TRUNCATED_SIZE * b"\0"
    assert sent.value is None
    # The twin: as long as a message may be.
    wire = message(gzip.compress(MAX_MESSAGE_SIZE * b"\0"), compressed=True)
    (sent,) = only(events.Message, talk.send("client", data(1, wire)))
    assert not sent.truncated
    assert sent.decompressed_size == MAX_MESSAGE_SIZE


_UNPACKED = {
    "no message": bytes(MAX_MESSAGE_SIZE),
    "control characters": b"\x12" + b"\xf8\xff\xff\x01" + bytes(MAX_MESSAGE_SIZE - 8),
    "numbers": MAX_MESSAGE_SIZE // 2 * b"\x08\x01",
    "unknown": MAX_MESSAGE_SIZE // 3 * b"\xc0\x0c\x01",
}


@pytest.mark.parametrize("kind", _UNPACKED)
def test_many_bombs_are_told_in_proportion_to_what_came_over_the_wire(kind: str) -> None:
    talk = _compressed_call("gzip")
    wire = message(gzip.compress(_UNPACKED[kind], 9), compressed=True)
    assert len(wire) < 2 * MAX_MESSAGE_SIZE // 1000

    def told(count: int) -> int:
        encode = msgspec.json.Encoder().encode
        return sum(
            len(encode(event)) for _ in range(count) for event in talk.send("client", data(1, wire))
        )

    # The first ones are told in full, as far as they are kept.
    assert told(4) < 6 * MAX_MESSAGE_SIZE
    once, twice = told(10), told(20)
    assert once < 100 * 10 * len(wire)
    assert twice < 2.2 * once
    assert not talk.parser.failed
