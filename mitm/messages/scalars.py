"""Numbers of the wire as the JSON form of Protocol Buffers has them."""

import math
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from mitm.messages.wire_format import BYTES, FIXED32, FIXED64, GROUP, VARINT

Json = Any

_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")

Tell = Callable[[int], Json]
"""Makes JSON of a number."""

Fits = Callable[[int], bool]
"""Whether a number is written as an encoder writes one of its type."""


def scalar(field: FieldDescriptor) -> tuple[Tell, Fits]:
    """How a field's numbers are told, and which of them fit."""
    if field.enum_type:
        return _enum(field.enum_type)
    return _TELLS.get(field.type, (int, _always))


def _enum(descriptor: EnumDescriptor) -> tuple[Tell, Fits]:
    if descriptor.full_name == "google.protobuf.NullValue":
        return (lambda _: None), (lambda number: number == 0)
    names = {number: value.name for number, value in descriptor.values_by_number.items()}

    def tell(number: int) -> Json:
        number = _int32(number)
        return names.get(number, number)

    return tell, _int32_fits


def _always(value: int) -> bool:
    return True


def _int32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def _int32_fits(value: int) -> bool:
    # Negative ones are written with 64 bits.
    return value < 2**31 or value >= 2**64 - 2**31


def _int64(value: int) -> str:
    return str(value - 2**64 if value >= 2**63 else value)


def _zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _float(value: int) -> Json:
    (number,) = _FLOAT.unpack(value.to_bytes(4, "little"))
    if not math.isfinite(number):
        return _not_finite(number)
    # As short as it can be and still be the same number of 32 bits.
    for digits in range(6, 9):
        shortest = float(f"{number:.{digits}g}")
        if _as_float(shortest) == number:
            return shortest
    return float(f"{number:.9g}")


def _as_float(number: float) -> float | None:
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(number))[0])
    except OverflowError:  # rounded up beyond the largest one
        return None


def _double(value: int) -> Json:
    (number,) = _DOUBLE.unpack(value.to_bytes(8, "little"))
    return number if math.isfinite(number) else _not_finite(number)


def _not_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


_F = FieldDescriptor
WIRE_TYPES = {
    _F.TYPE_DOUBLE: FIXED64,
    _F.TYPE_FLOAT: FIXED32,
    _F.TYPE_INT64: VARINT,
    _F.TYPE_UINT64: VARINT,
    _F.TYPE_INT32: VARINT,
    _F.TYPE_FIXED64: FIXED64,
    _F.TYPE_FIXED32: FIXED32,
    _F.TYPE_BOOL: VARINT,
    _F.TYPE_STRING: BYTES,
    _F.TYPE_GROUP: GROUP,
    _F.TYPE_MESSAGE: BYTES,
    _F.TYPE_BYTES: BYTES,
    _F.TYPE_UINT32: VARINT,
    _F.TYPE_ENUM: VARINT,
    _F.TYPE_SFIXED32: FIXED32,
    _F.TYPE_SFIXED64: FIXED64,
    _F.TYPE_SINT32: VARINT,
    _F.TYPE_SINT64: VARINT,
}
_TELLS: dict[int, tuple[Callable[[Any], Json], Callable[[int], bool]]] = {
    _F.TYPE_DOUBLE: (_double, _always),
    _F.TYPE_FLOAT: (_float, _always),
    _F.TYPE_INT64: (_int64, _always),
    _F.TYPE_UINT64: (str, _always),
    _F.TYPE_INT32: (_int32, _int32_fits),
    _F.TYPE_FIXED64: (str, _always),
    _F.TYPE_FIXED32: (int, _always),
    _F.TYPE_BOOL: (bool, lambda value: value < 2),
    _F.TYPE_UINT32: (lambda value: value & 0xFFFFFFFF, lambda value: value < 2**32),
    _F.TYPE_SFIXED32: (_int32, _always),
    _F.TYPE_SFIXED64: (_int64, _always),
    _F.TYPE_SINT32: (lambda value: _zigzag(value & 0xFFFFFFFF), lambda value: value < 2**32),
    _F.TYPE_SINT64: (lambda value: str(_zigzag(value)), _always),
}
