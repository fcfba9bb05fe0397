"""The wire format of Protocol Buffers: fields out of bytes, without a word of what they mean.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import NamedTuple

from mitm.messages.room import BYTES_A_STEP, STEPS_FOR_A_FIELD, STEPS_FOR_A_VALUE, Room

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

# The number, which no field has, of what stands for all that is not read of a message.
THE_REST = 0

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


def fields(data: bytes, room: Room | None = None) -> Iterator[Field]:
    """The fields of a message, in their order.

    Args:
        data: the message.
        room: its steps are how many fields are read, those in groups among them. If there are more,
            the last one that is given is none: its number is `THE_REST`, and its value says how
            many bytes are not read. Without it all are.

    Raises:
        MalformedError: on reaching what is no field.
    """
    at, end = 0, len(data)
    while at < end:
        if room is not None:
            if room.steps <= 0:
                yield _rest(data, at)
                return
            room.steps -= STEPS_FOR_A_FIELD
        # Small numbers and short texts in fields up to 15 are what most messages are made of.
        key = data[at]
        size = data[at + 1] if at + 1 < end else 0x80
        if size < 0x80 and 7 < key < 0x80:
            if key & 7 == VARINT:
                yield Field(key >> 3, VARINT, size, at, at + 2, True)
                at += 2
                continue
            if key & 7 == BYTES:
                start, at = at, at + 2 + size
                if at > end:
                    raise MalformedError
                yield Field(key >> 3, BYTES, data[start + 2 : at], start, at, True)
                continue
        field = _field(data, at, 1, room)
        if field.kind == END_GROUP:
            raise MalformedError
        yield field
        at = field.end


def _rest(data: bytes, at: int) -> Field:
    return Field(THE_REST, VARINT, len(data) - at, at, len(data), True)


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


def _field(data: bytes, start: int, depth: int, room: Room | None) -> Field:
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
        if room is not None:
            room.steps -= length // BYTES_A_STEP
    elif kind in (FIXED64, FIXED32):
        began, at = at, at + (8 if kind == FIXED64 else 4)
        if at > len(data):
            raise MalformedError
        value = int.from_bytes(data[began:at], "little")
    elif kind == GROUP:
        if depth >= MAX_DEPTH:
            value, at = _skipped(data, at, number, room)
        else:
            value, at, all_shortest = _group(data, at, number, depth + 1, room)
            shortest = shortest and all_shortest
    elif kind == END_GROUP:
        value = 0
    else:
        raise MalformedError
    return Field(number, kind, value, start, at, shortest)


def _group(
    data: bytes, at: int, number: int, depth: int, room: Room | None
) -> tuple[list[Field], int, bool]:
    found: list[Field] = []
    shortest = True
    while at < len(data):
        if room is not None:
            if room.steps <= 0:
                return [*found, _rest(data, at)], len(data), shortest
            room.steps -= STEPS_FOR_A_FIELD + STEPS_FOR_A_VALUE  # which is looked at in any case
        field = _field(data, at, depth, room)
        at = field.end
        shortest = shortest and field.shortest
        if field.kind == END_GROUP:
            if field.number != number:
                break
            return found, at, shortest
        found.append(field)
        if room is not None and room.steps <= 0 and _is_cut(field):
            return found, at, shortest
    raise MalformedError


def _is_cut(field: Field) -> bool:
    """Whether it is what is not read, or a group that is not read to its end."""
    value = field.value
    return field.number == THE_REST or (
        isinstance(value, list) and bool(value) and _is_cut(value[-1])
    )


def _skipped(
    data: bytes, at: int, number: int, room: Room | None
) -> tuple[bytes | list[Field], int]:
    """The content of a group, however many are in it, and where it ends."""
    start = at
    open_groups = [number]
    while at < len(data):
        if room is not None:
            if room.steps <= 0:
                return [_rest(data, start)], len(data)
            room.steps -= STEPS_FOR_A_FIELD
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
            at = _field(data, began, 1, room).end
    raise MalformedError
