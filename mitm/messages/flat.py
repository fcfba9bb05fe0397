"""Small messages of nothing but scalars, which most messages are, read in one go.

What it says of them is what mitm/messages/typed.py would say, which reads all others. It gives up
where anything is not as an encoder writes it, or there might not be room enough.
"""

import base64

from mitm.messages.room import (
    BYTES_A_STEP,
    FOR_A_MESSAGE,
    Room,
    length_in_base64,
    length_in_json,
)
from mitm.messages.scalars import Json
from mitm.messages.shape import TypeShape
from mitm.messages.wire_format import BYTES, FIXED32, FIXED64, MalformedError, varint

# Of what is done for any other message (mitm/messages/room.py), less than half is done for these.
_STEPS_FOR_A_MESSAGE = 3

_SIZES = {FIXED64: 8, FIXED32: 4}


def read_flat(type_: TypeShape, data: bytes, room: Room) -> dict[str, Json] | None:
    """Read a message whose fields are scalars, each there but once, in the order of their numbers.

    Args:
        type_: of the message.
        data: the message.
        room: how much may be told, and done.

    Returns:
        The fields by name, which account for all bytes; None for any other message, of which
        nothing is counted.
    """
    end = len(data)
    if end >= BYTES_A_STEP:
        return None
    flat = type_.flat
    told: dict[str, Json] = {}
    cost = FOR_A_MESSAGE
    at = newest = 0
    try:
        while at < end:
            key = data[at]
            if key <= newest:
                return None
            newest = key
            name, is_text, tell, fits, for_it = flat[key]
            kind = key & 7
            at += 1
            if kind in _SIZES:
                start, at = at, at + _SIZES[kind]
                value = int.from_bytes(data[start:at], "little")
            else:
                value = data[at]
                at += 1
                if value >= 0x80:
                    value, at = varint(data, at - 1)
                    if not data[at - 1]:
                        return None  # longer than need be
            if kind == BYTES:
                start, at = at, at + value
                content = data[start:at]
                if is_text:
                    text = content.decode()
                    cost += for_it + length_in_json(text)
                    told[name] = text
                else:
                    cost += for_it + length_in_base64(content)
                    told[name] = base64.b64encode(content).decode()
            else:
                if not fits(value):
                    return None
                told[name] = number = tell(value)
                cost += for_it
                if isinstance(number, str):
                    cost += len(number)
    except (KeyError, IndexError, UnicodeDecodeError, MalformedError):
        return None
    steps = _STEPS_FOR_A_MESSAGE + len(told)
    if at > end or cost >= room.left or steps >= room.steps:
        return None
    room.left -= cost
    room.steps -= steps
    return told
