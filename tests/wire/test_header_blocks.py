"""Remembered header blocks, compared with hpack, which remembers none."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.wire.header_blocks import MAX_HEADER_LIST, HeaderDecoder

# Few names and values, so that blocks come again; long ones, so that entries fall out of the table.
_names = st.sampled_from([b"a", b"b", b"grpc-status", b":path", b"x-" + 60 * b"n"])
_values = st.sampled_from([b"", b"0", b"v", 100 * b"l", 1000 * b"m", b"\xff\xc3\xa9"])
_fields = st.lists(st.tuples(_names, _values), max_size=4)
_steps = st.lists(st.one_of(_fields, st.sampled_from([0, 50, 300, 2000, 4096])), max_size=60)


@given(_steps)
def test_blocks_mean_what_a_plain_decoder_says_whatever_the_table_goes_through(
    steps: list[list[tuple[bytes, bytes]] | int],
) -> None:
    encoder, ours = hpack.Encoder(), HeaderDecoder()
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = step
            ours.max_table_size = step
            # Two changes in a row are more than hpack's encoder can tell of.
            assert ours.decode(encoder.encode([])) == ()
            continue
        block = encoder.encode(step)
        expected = [
            (name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace"))
            for name, value in step
        ]
        assert list(ours.decode(block)) == expected


@given(st.lists(st.binary(max_size=12), max_size=30))
def test_arbitrary_blocks_end_as_with_a_plain_decoder(blocks: list[bytes]) -> None:
    theirs, ours = hpack.Decoder(), HeaderDecoder()
    # Twice, so that the second time finds them remembered.
    for block in [block for block in blocks for _ in range(2)]:
        try:
            expected = list(theirs.decode(block, raw=True))
        except hpack.HPACKError:
            with pytest.raises(hpack.HPACKError):
                ours.decode(block)
            return
        assert list(ours.decode(block)) == [
            (name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace"))
            for name, value in expected
        ]


def test_the_same_block_means_something_else_once_the_table_has_changed() -> None:
    decoder = HeaderDecoder()
    newest = bytes([0x80 | 62])  # the newest entry of the dynamic table
    assert decoder.decode(b"\x40\x01a\x011") == (("a", "1"),)
    assert decoder.decode(newest) == decoder.decode(newest) == (("a", "1"),)
    assert decoder.decode(b"\x40\x01a\x012") == (("a", "2"),)
    assert decoder.decode(newest) == (("a", "2"),)


def test_a_remembered_block_is_forgotten_when_the_table_is_emptied() -> None:
    decoder = HeaderDecoder()
    newest = bytes([0x80 | 62])
    decoder.decode(b"\x40\x01a\x011")
    assert decoder.decode(newest) == (("a", "1"),)
    decoder.decode(b"\x20")  # a table of 0 bytes
    with pytest.raises(hpack.HPACKError):
        decoder.decode(newest)


def test_a_sender_must_shrink_its_table_when_it_is_told_to() -> None:
    told, untold = HeaderDecoder(), HeaderDecoder()
    told.max_table_size = 100
    with pytest.raises(hpack.HPACKError):
        told.decode(b"\x82")
    assert untold.decode(b"\x82") == ((":method", "GET"),)


def test_a_header_list_is_refused_when_it_is_too_long_once_decompressed() -> None:
    decoder = HeaderDecoder()
    value = 4000 * b"x"
    size = 32 + 1 + len(value)  # RFC 9113 section 10.5.1
    decoder.decode(b"\x40\x01a" + b"\x7f" + _rest(len(value) - 127) + value)
    fits = MAX_HEADER_LIST // size
    assert len(decoder.decode(fits * bytes([0x80 | 62]))) == fits
    with pytest.raises(hpack.HPACKError):
        decoder.decode((fits + 1) * bytes([0x80 | 62]))


def _rest(number: int) -> bytes:
    """What follows the prefix of an integer (RFC 7541 section 5.1)."""
    encoded = b""
    while number >= 128:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (b"x-trace-bin", b"\x00\xab\xab\xab", "q6ur"),
        (b"x-trace-bin", b"\x00\x00", "AA"),
        (b"x-trace-bin", b"\x00", ""),
        # In base64 already.
        (b"x-trace-bin", b"q6ur", "q6ur"),
        # No binary metadata.
        (b"x-trace", b"\x00\xab", "\x00\\xab"),
    ],
)
def test_binary_metadata_is_told_in_base64_however_it_was_sent(
    name: bytes, value: bytes, told: str
) -> None:
    block = hpack.Encoder().encode([(name, value)])
    assert HeaderDecoder().decode(block) == ((name.decode(), told),)
