"""Small messages as encoders write them, which most messages are, read in one go.

What is said of them is what mitm/messages/typed.py would say, which reads all others. This gives up
where anything is odd (a field that the type does not have, another order, a value that JSON has no
form for), and where there might not be room enough.
"""

import base64

from mitm.messages.room import (
    BYTES_A_STEP,
    FOR_A_MESSAGE,
    FOR_A_NUMBER,
    Room,
    length_in_base64,
    length_in_json,
)
from mitm.messages.scalars import Json
from mitm.messages.shape import (
    ENTRY,
    MESSAGE,
    NUMBER,
    PACKED,
    TEXT,
    PlainField,
    TypeShape,
    shape_of,
)
from mitm.messages.well_known import FORMS
from mitm.messages.wire_format import FIXED32, FIXED64, MAX_DEPTH, MalformedError, varint

# Messages in messages that are read in this way.
_MAX_LEVELS = 16

# Of what is done for a message (mitm/messages/room.py) less than half is done in this way.
_STEPS_FOR_A_MESSAGE = 3

_SIZES = {FIXED64: 8, FIXED32: 4}


class _OddError(Exception):
    """It is not as encoders write it."""


def read_plain(type_: TypeShape, data: bytes, room: Room, depth: int = 1) -> dict[str, Json] | None:
    """Read a small message that is as encoders write it.

    Args:
        type_: of the message.
        data: the message.
        room: how much may be told, and done.
        depth: how deep it stands, the outermost at 1.

    Returns:
        The fields by name, which account for all bytes; None for any other message, of which
        nothing is told.
    """
    # There are steps for whatever may be in it.
    if len(data) >= BYTES_A_STEP or room.steps <= len(data):
        return None
    before = room.left
    try:
        levels = min(_MAX_LEVELS, MAX_DEPTH - depth)
        value = _message(type_, data, 0, len(data), room, levels)
        if room.left > 0:
            return value
    except (_OddError, MalformedError, UnicodeDecodeError, LookupError):
        pass
    room.left = before
    return None


def _message(
    type_: TypeShape, data: bytes, at: int, end: int, room: Room, levels: int
) -> dict[str, Json]:
    """Read the message that stands between two places, and so many levels of messages in it.

    Raises:
        _OddError, MalformedError, UnicodeDecodeError, LookupError: it is not plain.
    """
    told: dict[str, Json] = {}
    newest = 0
    cost, steps = FOR_A_MESSAGE, _STEPS_FOR_A_MESSAGE
    try:
        while at < end:
            key = data[at]
            at += 1
            if key >= 0x80:
                key, at = _long_varint(data, at - 1)
            field = type_.plain[key]
            name, how, repeated, tell, fits, others, for_it, _, _ = field
            steps += 1
            cost += for_it
            if key != newest:
                # In the order of their numbers; and none is written in two ways, or one of a oneof
                # beside another.
                if key < newest or name in told or (others and not others.isdisjoint(told)):
                    raise _OddError
                newest = key
                cost += len(name)
            elif not repeated:
                raise _OddError
            # Numbers, lengths among them.
            if key & 7 in _SIZES:
                start, at = at, at + _SIZES[key & 7]
                number = int.from_bytes(data[start:at], "little")
            else:
                number = data[at]
                at += 1
                if number >= 0x80:
                    number, at = _long_varint(data, at - 1)
            one: Json
            if how == NUMBER:
                if not fits(number):
                    raise _OddError
                one = tell(number)
                if isinstance(one, str):
                    cost += len(one)
            else:
                start, at = at, at + number
                if at > end:
                    raise _OddError
                if how == TEXT:
                    one = data[start:at].decode()
                    cost += length_in_json(one)
                elif how == ENTRY:
                    _add_entry(field, told.setdefault(name, {}), data, start, at, room, levels)
                    continue
                else:
                    one = _content(field, data, start, at, room, levels)
            if not repeated:
                told[name] = one
            elif name in told:
                told[name].append(one)
            else:
                told[name] = [one]
    finally:
        # In vain or not: it takes the same time.
        room.steps -= steps
    if at > end:
        raise _OddError
    room.left -= cost
    return told


def _content(field: PlainField, data: bytes, start: int, end: int, room: Room, levels: int) -> Json:
    """What is neither a number nor a text."""
    if field.how == MESSAGE:
        assert field.message
        return _inner(shape_of(field.message), data, start, end, room, levels)
    if field.how == PACKED:
        return _packed(field, data, start, end, room)
    content = data[start:end]
    room.left -= length_in_base64(content)
    return base64.b64encode(content).decode()


def _inner(type_: TypeShape, data: bytes, start: int, end: int, room: Room, levels: int) -> Json:
    """A message within another one, in the form of its type."""
    if not levels:
        raise _OddError
    value = _message(type_, data, start, end, room, levels - 1)
    form = FORMS.get(type_.name)
    if form is None:
        return value
    try:
        told, exact = form(value, type_)
    except (ValueError, OverflowError, TypeError, KeyError):
        raise _OddError from None
    if not exact:
        raise _OddError
    room.steps -= _STEPS_FOR_A_MESSAGE
    if isinstance(told, str):
        room.left -= len(told)
    return told


def _packed(field: PlainField, data: bytes, at: int, end: int, room: Room) -> list[Json]:
    told = []
    cost = 0
    size = _SIZES.get(field.kind)
    while at < end:
        if size:
            start, at = at, at + size
            number = int.from_bytes(data[start:at], "little")
        else:
            number = data[at]
            at += 1
            if number >= 0x80:
                number, at = _long_varint(data, at - 1)
        if not field.fits(number):
            raise _OddError
        one = field.tell(number)
        if isinstance(one, str):
            cost += len(one)
        told.append(one)
    if at > end:
        raise _OddError
    room.left -= cost + FOR_A_NUMBER * len(told)
    room.steps -= len(told) * (4 if field.kind == FIXED32 else 1)
    return told


def _add_entry(
    field: PlainField,
    told: dict[str, Json],
    data: bytes,
    start: int,
    end: int,
    room: Room,
    levels: int,
) -> None:
    """Add an entry to a map, which has a key and a value and is no message in JSON."""
    assert field.message
    if not levels:
        raise _OddError
    type_ = shape_of(field.message)
    key, of_key = type_.fields[1].name, type_.fields[2].name
    entry = _message(type_, data, start, end, room, levels - 1)
    room.left += FOR_A_MESSAGE + len(key) + len(of_key)
    told_key = entry[key]
    if isinstance(told_key, bool):
        told_key = "true" if told_key else "false"
    name = str(told_key)
    if len(entry) != 2 or name in told:
        raise _OddError
    told[name] = entry[of_key]


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of more than a byte, and where it ends."""
    second = data[at + 1]
    if 0 < second < 0x80:
        return data[at] & 0x7F | second << 7, at + 2
    number, at = varint(data, at)
    if not data[at - 1]:
        raise _OddError  # longer than need be
    return number, at
