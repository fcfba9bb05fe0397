"""Remembered header blocks, compared with hpack, which remembers none."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.wire.header_blocks import EXPANDED_FREELY, MAX_HEADER_LIST, HeaderDecoder

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
            assert ours.decode(encoder.encode([])).headers == ()
            continue
        block = encoder.encode(step)
        expected = [
            (name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace"))
            for name, value in step
        ]
        assert list(ours.decode(block).headers) == expected


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
        assert list(ours.decode(block).headers) == [
            (name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace"))
            for name, value in expected
        ]


def test_the_same_block_means_something_else_once_the_table_has_changed() -> None:
    decoder = HeaderDecoder()
    newest = bytes([0x80 | 62])  # the newest entry of the dynamic table
    assert decoder.decode(b"\x40\x01a\x011").headers == (("a", "1"),)
    assert decoder.decode(newest).headers == decoder.decode(newest).headers == (("a", "1"),)
    assert decoder.decode(b"\x40\x01a\x012").headers == (("a", "2"),)
    assert decoder.decode(newest).headers == (("a", "2"),)


def test_a_remembered_block_is_forgotten_when_the_table_is_emptied() -> None:
    decoder = HeaderDecoder()
    newest = bytes([0x80 | 62])
    decoder.decode(b"\x40\x01a\x011")
    assert decoder.decode(newest).headers == (("a", "1"),)
    decoder.decode(b"\x20")  # a table of 0 bytes
    with pytest.raises(hpack.HPACKError):
        decoder.decode(newest)


def test_a_sender_must_shrink_its_table_when_it_is_told_to() -> None:
    told, untold = HeaderDecoder(), HeaderDecoder()
    told.max_table_size = 100
    with pytest.raises(hpack.HPACKError):
        told.decode(b"\x82")
    assert untold.decode(b"\x82").headers == ((":method", "GET"),)


def _entry(name: bytes, value: bytes) -> bytes:
    """A literal with incremental indexing, as it is (RFC 7541 section 6.2.1)."""
    return b"\x40" + _string(name) + _string(value)


def _string(text: bytes, first: int = 0) -> bytes:
    if len(text) < 127:
        return bytes([first | len(text)]) + text
    return bytes([first | 127]) + _rest(len(text) - 127) + text


def test_of_a_header_list_that_is_too_long_once_decompressed_what_fits_is_told() -> None:
    decoder = HeaderDecoder()
    value = 4000 * b"x"
    size = 32 + 1 + len(value)  # RFC 9113 section 10.5.1
    decoder.decode(_entry(b"a", value))
    fits = MAX_HEADER_LIST // size
    newest = bytes([0x80 | 62])
    whole = decoder.decode(fits * newest)
    assert (len(whole.headers), whole.too_long, whole.left_out) == (fits, False, False)
    # What is short fits behind what does not.
    cut = decoder.decode((fits + 1) * newest + b"\x82")
    assert (len(cut.headers), cut.too_long, cut.left_out) == (fits + 1, True, True)
    assert cut.headers[-1] == (":method", "GET")
    # And the table is what it was.
    assert decoder.decode(newest).headers == (("a", value.decode()),)


@given(_steps, st.lists(st.integers(1, 40), min_size=1))
def test_a_block_in_parts_means_what_it_means_whole(
    steps: list[list[tuple[bytes, bytes]] | int], cuts: list[int]
) -> None:
    encoder, whole, parts = hpack.Encoder(), HeaderDecoder(), HeaderDecoder()
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = whole.max_table_size = parts.max_table_size = step
            block = encoder.encode([])
        else:
            block = encoder.encode(step)
        at = 0
        for length in [*cuts, len(block)]:
            parts.feed(block[at : at + length])
            at += length
        assert parts.finish() == whole.decode(block)


@pytest.mark.parametrize("cut", [1, 2, 7])
def test_a_block_that_breaks_off_is_an_error_in_parts_as_well(cut: int) -> None:
    decoder = HeaderDecoder()
    decoder.feed(_entry(b"name", b"value")[:-cut])
    with pytest.raises(hpack.HPACKError):
        decoder.finish()


@pytest.mark.parametrize("huffman", [0, 0x80], ids=["as it is", "Huffman"])
@pytest.mark.parametrize("what", ["name", "value"])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_string_that_is_too_long_for_everything_is_not_held(
    what: str, huffman: int, indexed: bool
) -> None:
    """The table is emptied, as by every entry that is larger than it (RFC 7541 section 4.4)."""
    decoder = HeaderDecoder()
    decoder.decode(_entry(b"kept", b"entry"))
    newest = bytes([0x80 | 62])
    long, short = 10 * 1024 * 1024 * b"x", b"n"
    name, value = (long, short) if what == "name" else (short, long)
    first = b"\x40" if indexed else b"\x00"
    strings = (
        _string(name, huffman if what == "name" else 0),
        _string(value, huffman if what == "value" else 0),
    )
    block = b"\x82" + first + b"".join(strings) + b"\x87"
    for start in range(0, len(block), 16_384):
        decoder.feed(block[start : start + 16_384])
        assert decoder.buffered < 300_000
    read = decoder.finish()
    assert read.headers == ((":method", "GET"), (":scheme", "https"))
    assert read.too_long
    if indexed:
        with pytest.raises(hpack.HPACKError):
            decoder.decode(newest)
    else:
        assert decoder.decode(newest).headers == (("kept", "entry"),)


def test_a_long_string_that_the_table_takes_is_held_for_it() -> None:
    """Not for the list: there it is left out."""
    decoder = HeaderDecoder()
    decoder.max_table_size = 1024 * 1024
    decoder.decode(b"\x3f" + _rest(1024 * 1024 - 31))
    value = 512 * 1024 * b"v"
    for start in range(0, len(block := _entry(b"long", value)), 16_384):
        decoder.feed(block[start : start + 16_384])
    assert decoder.finish().headers == ()
    # By its name: the value stands in the table, and is too long for a list again.
    named = decoder.decode(b"\x7e\x01w")
    assert named.headers == (("long", "w"),)


def test_what_blocks_expand_to_follows_from_what_has_come() -> None:
    decoder = HeaderDecoder()
    decoder.decode(_entry(b"a", 4000 * b"x"))
    newest = bytes([0x80 | 62])

    def told(count: int) -> int:
        return sum(
            32 + len(name) + len(value)
            for _ in range(count)
            for name, value in decoder.decode(16 * newest).headers
        )

    assert told(10) > 500_000
    assert told(1000) < EXPANDED_FREELY
    assert decoder.decode(newest).left_out
    # What there is room for is told all the same, and more once more has come.
    assert decoder.decode(b"\x82" + newest).headers == ((":method", "GET"),)
    decoder.allowance += 5000
    assert not decoder.decode(newest).left_out


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
    assert HeaderDecoder().decode(block).headers == ((name.decode(), told),)
