"""Guessed messages back to bytes, by what docs/decoding.md says of how a reading is written."""

import base64
import struct
from typing import Any


def encoded(fields: dict[str, Any]) -> bytes:
    """The message that was read."""
    wire = b""
    for number, value in fields.items():
        for reading in value if isinstance(value, list) else [value]:
            wire += _field(int(number), reading)
    return wire


def _field(number: int, reading: Any) -> bytes:
    match reading:
        case int():
            return varint(number << 3) + varint(reading)
        case {"varint": value}:
            return varint(number << 3) + varint(int(value))
        case {"fixed64": value}:
            return varint(number << 3 | 1) + struct.pack("<Q", int(value))
        case {"fixed32": value}:
            return varint(number << 3 | 5) + struct.pack("<L", value)
        case {"group": fields}:
            return varint(number << 3 | 3) + encoded(fields) + varint(number << 3 | 4)
        case str() | {"string": _}:
            content = (reading if isinstance(reading, str) else reading["string"]).encode()
        case {"bytes": text}:
            content = base64.b64decode(text, validate=True)
        case _:
            content = encoded(reading)
    return field(number, content)


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    wire = b""
    while value > 0x7F:
        wire += bytes([value & 0x7F | 0x80])
        value >>= 7
    return wire + bytes([value])
