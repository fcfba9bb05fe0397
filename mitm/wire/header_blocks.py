"""Header blocks to header lists (HPACK, RFC 7541), remembering those that come again and again.

Tables and Huffman codes are hpack's. What is not is the walk through a block: hpack takes a block
whole, and gives up its state where a list is too long. Here a block may come in parts, and what is
too long is left out of the list, while the table stays what the sender's is.
"""

import base64
from functools import lru_cache
from typing import NamedTuple

from hpack import HPACKDecodingError, InvalidTableSizeError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

# The longest header list, 32 bytes added to each field as in RFC 9113 section 10.5.1: the default
# of hpack. Go's net/http takes 1 MiB, nginx 32 KiB, Envoy 60 KiB, gRPC's C core 16 KiB.
MAX_HEADER_LIST = 64 * 1024

# How many blocks are remembered: a client has a handful of methods, each with one block for
# requests, responses and trailers, once its headers are in the table.
REMEMBERED = 32

# The same of fields, for blocks that are new by one of theirs: the number of a trace, a deadline.
REMEMBERED_FIELDS = 64
LONGEST_REMEMBERED = 512

# Strings in Huffman's code that are remembered over all connections, and bytes of one. On a new
# connection all is new, and yet it is what the one before it said.
REMEMBERED_CODES = 1024
LONGEST_CODE = 128

# A byte of a block can stand for a field as long as the table. How much of that is told follows
# from what has come: header lists of so many bytes for each byte, and some for nothing. A call with
# 4 KiB of metadata, all of it in a table of gRPC's size, is 90 bytes both ways, and comes to 50.
EXPANSION = 128
EXPANDED_FREELY = 1024 * 1024

HeaderList = tuple[tuple[str, str], ...]

_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1

# Bytes of an integer, as in hpack: the prefix, and what 32 bits need behind it.
_LONGEST_INTEGER = 6

# The longest code of Huffman's has 30 bits (RFC 7541 appendix B): so many bytes are more than one
# when they are decoded.
_BYTES_OF_CODE = 4


class HeaderBlock(NamedTuple):
    """What a header block says.

    Attributes:
        headers: its fields; bytes that are not UTF-8 become backslash escapes. Binary metadata of
            gRPC is in base64, however it was sent.
        too_long: the list is longer than `MAX_HEADER_LIST`: fields that do not fit are left out.
        left_out: fields are left out, for that reason or as there was too much before them.
        size: of `headers`, counted in the same way.
        fields: name and value of each, the last one of those with the same name; not to be changed.
    """

    headers: HeaderList
    too_long: bool
    left_out: bool
    size: int
    fields: dict[str, str]


class _Field(NamedTuple):
    """A field, its size on the wire, and in events, where bytes may become escapes."""

    text: tuple[str, str]
    size: int
    told: int


class _Table(HeaderTable):
    """A header table that tells when it has taken a new entry."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)

    def clear(self) -> None:
        """Do what an entry that is longer than the table does to it (RFC 7541 section 4.4)."""
        self.changed = True
        self.maxsize, size = 0, self.maxsize
        self.maxsize = size


class HeaderDecoder:
    """Decodes the header blocks of one direction, all of them and in order: HPACK has one state.

    A block means the same as before as long as the table is the same, and the calls of a gRPC
    client differ in their messages: almost every block has been seen before.

    Attributes:
        max_table_size: the largest table that the sender may use, in bytes (RFC 7541 section 4.2).
        allowance: bytes of header lists that may be told yet; see `EXPANSION`.
    """

    def __init__(self) -> None:
        self._table = _Table()
        self._max_table_size = HeaderTable.DEFAULT_SIZE
        self._known: dict[bytes, HeaderBlock] = {}
        self._fields_known: dict[tuple[bytes, bytes], _Field] = {}
        self.allowance = EXPANDED_FREELY
        self._begin()

    def _begin(self) -> None:
        self._fields: list[tuple[str, str]] = []
        self._size = 0  # of the list on the wire
        self._told = 0  # and in events
        self._too_long = False
        self._resized = False
        self._in_fields = False  # a field has come, so that the table is not resized any more
        self._rest = b""  # of a field that has not come whole
        self._skip = 0  # bytes to come of a string that is too long for list and table
        self._skip_value = False  # and the value that comes behind it

    @property
    def buffered(self) -> int:
        """Bytes held of a block that is not complete."""
        return len(self._rest) + self._size

    @property
    def max_table_size(self) -> int:
        return self._max_table_size

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._max_table_size = size
        # A block that does not shrink a table that has become too large is an error from now on.
        self._known.clear()

    def decode(self, block: bytes) -> HeaderBlock:
        """Decode the next block, whole.

        Raises:
            hpack.HPACKError: the block is malformed; the blocks after it cannot be decoded.
        """
        decoded = self._known.get(block)
        if decoded is None:
            self.feed(block)
            changed = self._table.changed or self._resized
            decoded = self._finish()
            if changed or len(self._known) == REMEMBERED:
                self._known.clear()
            if not changed:
                self._known[block] = decoded
        return self._afford(decoded)

    def feed(self, part: bytes) -> None:
        """Take a part of the next block, cut anywhere; to be ended by `finish`.

        Raises:
            hpack.HPACKError: as for `decode`.
        """
        data, at = self._rest + part, 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            stop = self._value_to_skip(data, at) if self._skip_value else self._field(data, at)
            if stop is None:
                break
            at = stop
        self._rest = data[at:]

    def finish(self) -> HeaderBlock:
        """End a block that was taken in parts.

        Raises:
            hpack.HPACKError: as for `decode`.
        """
        decoded = self._finish()
        self._known.clear()
        return self._afford(decoded)

    def _finish(self) -> HeaderBlock:
        if self._rest or self._skip or self._skip_value:
            raise HPACKDecodingError("truncated header block")
        if self._table.maxsize > self._max_table_size:
            raise InvalidTableSizeError("the table was not made smaller")
        headers, too_long = tuple(self._fields), self._too_long
        decoded = HeaderBlock(headers, too_long, too_long, self._told, dict(headers))
        self._table.changed = False
        self._begin()
        return decoded

    def _afford(self, decoded: HeaderBlock) -> HeaderBlock:
        """Leave out what is not told any more."""
        if decoded.size <= self.allowance:
            self.allowance -= decoded.size
            return decoded
        kept, size = [], 0
        for field in decoded.headers:
            if size + _size(*field) <= self.allowance:
                size += _size(*field)
                kept.append(field)
        self.allowance -= size
        return HeaderBlock(tuple(kept), decoded.too_long, True, size, dict(kept))

    def _field(self, data: bytes, at: int) -> int | None:
        """Read what begins at an index; where it ends, or None if that has not come."""
        first = data[at]
        if first & 0x80:  # RFC 7541 section 6.1
            integer = (first & 0x7F, at + 1) if first < 0xFF else _integer(data, at, 7)
            if integer is None:
                return None
            self._in_fields = True
            self._keep(self._indexed(integer[0]))
            return integer[1]
        if first & 0xE0 == 0x20:
            return self._resize(data, at)
        indexing = first & 0x40
        integer = _integer(data, at, 6 if indexing else 4)
        if integer is None:
            return None
        self._in_fields = True
        index, stop = integer
        if index:
            name = self._table.get_by_index(index)[0]
        else:
            string = self._string(data, stop, indexing)
            if isinstance(string, int) or string is None:
                self._skip_value = string is not None
                return string
            name, stop = string
        string = self._string(data, stop, indexing)
        if isinstance(string, int) or string is None:
            return string
        value, stop = string
        if indexing:
            self._table.add(name, value)
        self._keep(_field(name, value))
        return stop

    def _indexed(self, index: int) -> _Field:
        """A field of the table, which is there because it comes again and again."""
        entry = self._table.get_by_index(index)
        field = self._fields_known.get(entry)
        if field is None:
            field = _field(*entry)
            if len(self._fields_known) == REMEMBERED_FIELDS:
                self._fields_known.clear()
            if field.size <= LONGEST_REMEMBERED:
                self._fields_known[entry] = field
        return field

    def _resize(self, data: bytes, at: int) -> int | None:
        integer = _integer(data, at, 5)
        if integer is None:
            return None
        size, stop = integer
        if self._in_fields:
            raise HPACKDecodingError("the table is resized within a block")
        if size > self._max_table_size:
            raise InvalidTableSizeError("the table is made larger than it may be")
        self._table.maxsize = size
        self._resized = True
        return stop

    def _string(self, data: bytes, at: int, indexing: int) -> tuple[bytes, int] | int | None:
        """Read a string (RFC 7541 section 5.2).

        Returns:
            The string, and where it ends; only where it begins, if it is too long for list and
            table and is skipped; None if it has not come.
        """
        integer = _integer(data, at, 7)
        if integer is None:
            return None
        length, start = integer
        stop = start + length
        if stop > len(data):
            if length <= _BYTES_OF_CODE * max(MAX_HEADER_LIST, self._table.maxsize):
                return None
            self._skip = length
            self._too_long = True
            if indexing:
                self._table.clear()
            return start
        raw = data[start:stop]
        return (_decoded(raw) if data[at] & 0x80 else raw), stop

    def _value_to_skip(self, data: bytes, at: int) -> int | None:
        integer = _integer(data, at, 7)
        if integer is None:
            return None
        self._skip_value = False
        self._skip, stop = integer
        return stop

    def _keep(self, field: _Field) -> None:
        if self._size + field.size > MAX_HEADER_LIST:
            self._too_long = True
            return
        self._size += field.size
        self._told += field.told
        self._fields.append(field.text)


def _decoded(code: bytes) -> bytes:
    """A string that is in Huffman's code."""
    return _decoded_before(code) if len(code) <= LONGEST_CODE else bytes(decode_huffman(code))


@lru_cache(REMEMBERED_CODES)
def _decoded_before(code: bytes) -> bytes:
    return bytes(decode_huffman(code))


def _field(name: bytes, value: bytes) -> _Field:
    text = name.decode("utf-8", "backslashreplace"), _text(name, value)
    return _Field(text, _size(name, value), _size(*text))


def _size(name: str | bytes, value: str | bytes) -> int:
    return _ENTRY_OVERHEAD + len(name) + len(value)


def _integer(data: bytes, at: int, bits: int) -> tuple[int, int] | None:
    """An integer (RFC 7541 section 5.1), and where it ends; None if it has not come whole."""
    if at >= len(data):
        return None
    largest = (1 << bits) - 1
    number = data[at] & largest
    if number < largest:
        return number, at + 1
    for position, byte in enumerate(data[at + 1 : at + _LONGEST_INTEGER]):
        number += (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number, at + position + 2
    if len(data) - at >= _LONGEST_INTEGER:
        raise HPACKDecodingError("an integer that is too long")
    return None


def _text(name: bytes, value: bytes) -> str:
    # gRPC's C core sends binary metadata as it is, behind a zero byte, to a peer that has announced
    # to take that (GRPC_ALLOW_TRUE_BINARY_METADATA, the setting 0xFE03).
    if name.endswith(b"-bin") and value.startswith(b"\0"):
        value = base64.b64encode(value[1:]).rstrip(b"=")
    return value.decode("utf-8", "backslashreplace")
