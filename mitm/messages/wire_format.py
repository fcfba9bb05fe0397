"""The wire format of Protocol Buffers: fields out of bytes, without a word of what they mean.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

# Messages in messages, and groups in groups, that are looked into: what the parsers of Protocol
# Buffers take (kDefaultDepthLimit in upb, CodedInputStream::default_recursion_limit_ in C++).
MAX_DEPTH = 100

_MAX_NUMBER = 2**29 - 1


class MalformedError(Exception):
    """The bytes break a rule of the wire format."""


class Field(NamedTuple):
    """One field as it was written.

    Attributes:
        number: of the field.
        kind: its wire type.
        value: an unsigned number; the bytes; of a group its fields, or, where it is nested deeper
            than `MAX_DEPTH`, their bytes.
        start: where its key begins.
        end: where what follows begins.
        shortest: no number in it is written longer than need be.
    """

    number: int
    kind: int
    value: "int | bytes | list[Field]"
    start: int
    end: int
    shortest: bool


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, in their order.

    Raises:
        MalformedError: on reaching what is no field.
    """
    at, end = 0, len(data)
    while at < end:
        # Small numbers in fields up to 15, of which there may be millions.
        if at + 1 < end and data[at] & 0x87 == VARINT and data[at + 1] < 0x80 and data[at] > 7:
            yield Field(data[at] >> 3, VARINT, data[at + 1], at, at + 2, True)
            at += 2
            continue
        field = _field(data, at, 1)
        if field.kind == END_GROUP:
            raise MalformedError
        yield field
        at = field.end


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that is written there, and where it ends.

    Raises:
        MalformedError: there is none, or it is longer than 64 bits.
    """
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at
        shift += 7
    raise MalformedError


def written(value: int) -> bytes:
    """A number as a varint."""
    wire = bytearray()
    while value > 0x7F:
        wire.append(value & 0x7F | 0x80)
        value >>= 7
    wire.append(value)
    return bytes(wire)


def of_bytes(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message as it is written."""
    return written(number << 3 | BYTES) + written(len(content)) + content


def _field(data: bytes, start: int, depth: int) -> Field:
    key = data[start]
    at = start + 1
    shortest = True
    if key >= 0x80:
        key, at = varint(data, start)
        shortest = data[at - 1] != 0
    number, kind = key >> 3, key & 7
    if not 0 < number <= _MAX_NUMBER:
        raise MalformedError
    value: int | bytes | list[Field]
    if kind == VARINT:
        began = at
        value, at = varint(data, at)
        shortest = shortest and (data[at - 1] != 0 or at - began == 1)
    elif kind == BYTES:
        began = at
        length, at = varint(data, at)
        shortest = shortest and (data[at - 1] != 0 or at - began == 1)
        began, at = at, at + length
        if at > len(data):
            raise MalformedError
        value = data[began:at]
    elif kind in (FIXED64, FIXED32):
        began, at = at, at + (8 if kind == FIXED64 else 4)
        if at > len(data):
            raise MalformedError
        value = int.from_bytes(data[began:at], "little")
    elif kind == GROUP:
        if depth >= MAX_DEPTH:
            value, at = _skipped(data, at, number)
        else:
            value, at, all_shortest = _group(data, at, number, depth + 1)
            shortest = shortest and all_shortest
    elif kind == END_GROUP:
        value = 0
    else:
        raise MalformedError
    return Field(number, kind, value, start, at, shortest)


def _group(data: bytes, at: int, number: int, depth: int) -> tuple[list[Field], int, bool]:
    found: list[Field] = []
    shortest = True
    while at < len(data):
        field = _field(data, at, depth)
        at = field.end
        shortest = shortest and field.shortest
        if field.kind == END_GROUP:
            if field.number != number:
                break
            return found, at, shortest
        found.append(field)
    raise MalformedError


def _skipped(data: bytes, at: int, number: int) -> tuple[bytes, int]:
    """The content of a group, however many are in it, and where it ends."""
    start = at
    open_groups = [number]
    while at < len(data):
        began = at
        key, at = varint(data, at)
        if key & 7 == GROUP:
            open_groups.append(key >> 3)
        elif key & 7 == END_GROUP:
            if open_groups.pop() != key >> 3:
                break
            if not open_groups:
                return data[start:began], at
        else:
            at = _field(data, began, 1).end
    raise MalformedError
