"""Messages without a schema: fields by number, and the most likely reading of each.

The wire format (https://protobuf.dev/programming-guides/encoding/) tells numbers and lengths, and
not whether five bytes are a string, a message or packed numbers. What can be read in two ways is
shown in both, or as what is true in any case. docs/decoding.md says how each reading is written.
"""

import base64
import math
import re
import struct
from collections.abc import Iterator

# Fields that are tried to be read in one message, wrong tries included: some 10 ms. A message of
# more is shown as bytes, rather than to keep the relay waiting.
MAX_FIELDS = 5_000

# Messages in messages. Protocol Buffers themselves stop at 100, where each byte would be looked at
# a hundred times.
MAX_DEPTH = 32

# Packed numbers are looked for in byte strings up to this length: longer ones are data.
MAX_PACKED = 1024

# Integers up to this are exact in every reader of JSON (RFC 8259 section 6); larger ones are
# strings, as in the JSON form of Protocol Buffers.
_EXACT = 2**53 - 1

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_MAX_NUMBER = 2**29 - 1

# Control characters other than tab, line feed and carriage return; and two that are none at all.
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


class _NotAMessage(Exception):  # noqa: N818 - it is no error: another reading is tried
    """The bytes break a rule of the wire format."""


class _TooMuch(Exception):  # noqa: N818
    """There are more fields than are looked at."""


def guess(data: bytes) -> tuple[dict[str, object] | None, bool]:
    """Read a message of unknown type; whatever its bytes are, this does not raise.

    Args:
        data: the message, uncompressed.

    Returns:
        The fields by number, None if the bytes are no message or one of more than `MAX_FIELDS`;
        and whether that accounts for every byte, so that they could be made from it again.
    """
    guesser = _Guesser()
    try:
        fields, _ = guesser.fields(data, 0, 0)
    except (_NotAMessage, _TooMuch):
        return None, False
    return fields, guesser.exact


class _Guesser:
    """Reads one message.

    Attributes:
        exact: nothing was written in a way that the reading does not show.
    """

    def __init__(self) -> None:
        self.exact = True
        self._trying = 0  # how many messages in messages are being tried
        self._left = MAX_FIELDS

    def fields(
        self, data: bytes, at: int, depth: int, group: int = 0
    ) -> tuple[dict[str, object], int]:
        """Read fields up to the end of the data, or of the group of that number.

        Raises:
            _NotAMessage: they are none; where it is only tried whether they are a message, also if
                they are not written as encoders write them: another reading is likelier then.
            _TooMuch: there are too many.
        """
        found: dict[int, list[object]] = {}
        newest = 0
        end = len(data)
        while at < end:
            self._count()
            key, at = self._varint(data, at)
            number, kind = key >> 3, key & 7
            if not 0 < number <= _MAX_NUMBER:
                raise _NotAMessage
            if kind == _END_GROUP:
                if number != group:
                    raise _NotAMessage
                return _by_number(found), at
            reading, at = self._value(data, at, number, kind, depth)
            if number in found and number != newest:
                # Its place between the others is lost.
                self._inexact()
            newest = number
            found.setdefault(number, []).append(reading)
        if group:
            raise _NotAMessage
        return _by_number(found), at

    def _value(
        self, data: bytes, at: int, number: int, kind: int, depth: int
    ) -> tuple[object, int]:
        if kind == _VARINT:
            value, at = self._varint(data, at)
            return _integer(value), at
        if kind == _BYTES:
            length, at = self._varint(data, at)
            return self._bytes(_take(data, at, length), depth), at + length
        if kind == _FIXED64:
            return _fixed(_take(data, at, 8), "fixed64", "<Q", "double", "<d"), at + 8
        if kind == _FIXED32:
            return _fixed(_take(data, at, 4), "fixed32", "<L", "float", "<f"), at + 4
        if kind == _GROUP and depth < MAX_DEPTH:
            fields, at = self.fields(data, at, depth + 1, number)
            return {"group": fields}, at
        raise _NotAMessage

    def _bytes(self, data: bytes, depth: int) -> object:
        text = _text(data)
        message = self._message(data, depth) if data else None
        if text is not None:
            # `\n$` and 36 letters are a text, and a message with such a text in its field 1.
            if message is not None and _is_all_bytes(message):
                return {"string": text, "message": message}
            return text
        if message is not None:
            return message
        readings: dict[str, object] = {"bytes": base64.b64encode(data).decode()}
        if len(data) <= MAX_PACKED:
            readings.update(self._packed(data))
        return readings

    def _message(self, data: bytes, depth: int) -> dict[str, object] | None:
        if depth >= MAX_DEPTH:
            return None
        self._trying += 1
        try:
            return self.fields(data, 0, depth + 1)[0]
        except _NotAMessage:
            return None
        finally:
            self._trying -= 1

    def _packed(self, data: bytes) -> Iterator[tuple[str, object]]:
        numbers = self._varints(data)
        if numbers is not None:
            yield "varints", numbers
        for name, size, form in (("doubles", 8, "<d"), ("floats", 4, "<f")):
            if len(data) % size == 0:
                values = [value for (value,) in struct.iter_unpack(form, data)]
                if all(map(_plausible, values)):
                    yield name, values

    def _varints(self, data: bytes) -> list[object] | None:
        numbers = []
        at = 0
        self._trying += 1
        try:
            while at < len(data):
                self._count()
                number, at = self._varint(data, at)
                numbers.append(_integer(number))
        except _NotAMessage:
            return None
        finally:
            self._trying -= 1
        return numbers

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        for byte in data[at : at + 10]:
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 2**64:
                    break
                if byte == 0 and shift:
                    self._inexact()  # longer than need be
                return value, at
            shift += 7
        raise _NotAMessage

    def _inexact(self) -> None:
        if self._trying:
            raise _NotAMessage
        self.exact = False

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch


def _by_number(found: dict[int, list[object]]) -> dict[str, object]:
    return {
        str(number): readings[0] if len(readings) == 1 else readings
        for number, readings in found.items()
    }


def _take(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise _NotAMessage
    return data[at : at + length]


def _integer(value: int) -> object:
    if value <= _EXACT:
        return value
    if value < 2**63:
        return {"varint": str(value)}
    return {"varint": str(value), "signed": str(value - 2**64)}


def _fixed(data: bytes, integer: str, form: str, name: str, float_form: str) -> object:
    (value,) = struct.unpack(form, data)
    (number,) = struct.unpack(float_form, data)
    readings: dict[str, object] = {integer: value if value <= _EXACT else str(value)}
    if _plausible(number):
        readings[name] = number
    return readings


def _plausible(number: float) -> bool:
    """Whether somebody may have meant this number: most integers are absurd when read as floats."""
    return number == 0 or (math.isfinite(number) and 1e-9 <= abs(number) <= 1e15)


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if _NOT_IN_TEXT.search(text) else text


def _is_all_bytes(message: dict[str, object]) -> bool:
    """Whether a message has nothing but strings, messages and bytes: letters seldom look so."""
    readings = [each for value in message.values() for each in _as_list(value)]
    return not any(
        isinstance(reading, int)
        or (isinstance(reading, dict) and not reading.keys().isdisjoint(_NUMBERS))
        for reading in readings
    )


_NUMBERS = {"varint", "fixed32", "fixed64", "group"}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
