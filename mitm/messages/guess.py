"""Messages without a schema: fields by number, and the most likely reading of each.

The wire format (mitm/messages/wire_format.py) tells numbers and lengths, and not whether five bytes
are a string, a message or packed numbers. What can be read in two ways is shown in both, or as what
is true in any case. docs/decoding.md says how each reading is written.
"""

import math
import re
import struct
from collections.abc import Iterable, Iterator

from mitm.messages.room import FOR_A_NUMBER, LEFT_OUT, Room
from mitm.messages.wire_format import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    MalformedError,
    fields,
    varint,
)

# Fields that are tried to be read in one message, wrong tries included: some 10 ms, rather than to
# keep the relay waiting. The others are counted.
MAX_FIELDS = 5_000

# Messages in messages. Protocol Buffers themselves stop at 100, where each byte would be looked at
# a hundred times.
MAX_DEPTH = 32

# Packed numbers are looked for in byte strings up to this length: longer ones are data.
MAX_PACKED = 1024

# Integers up to this are exact in every reader of JSON (RFC 8259 section 6); larger ones are
# strings, as in the JSON form of Protocol Buffers.
_EXACT = 2**53 - 1

# Control characters other than tab, line feed and carriage return; and two that are none at all.
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def guess(data: bytes, room: Room | None = None) -> tuple[dict[str, object] | None, bool]:
    """Read a message of unknown type; whatever its bytes are, this does not raise.

    Args:
        data: the message, uncompressed.
        room: how much may be told of it.

    Returns:
        The fields by number, None if the bytes are no message; and whether that accounts for every
        byte, so that they could be made from it again.
    """
    guesser = Guesser(room or Room())
    try:
        return guesser.message(fields(data), 0), guesser.exact
    except MalformedError:
        return None, False


class Guesser:
    """Reads one message, or what is not known of it.

    Args:
        room: how much may be told.

    Attributes:
        exact: nothing was written in a way that the reading does not show, and nothing is left out.
    """

    def __init__(self, room: Room) -> None:
        self.exact = True
        self._room = room
        self._trying = 0  # how many messages in messages are being tried
        self._left = MAX_FIELDS

    def message(self, written: Iterable[Field], depth: int) -> dict[str, object]:
        """Read the fields of a message, or of a group.

        Args:
            written: the fields.
            depth: how many messages and groups they are in.

        Raises:
            MalformedError: they are none; where it is only tried whether they are a message, also
                if they are not written as encoders write them: another reading is likelier then.
        """
        found: dict[int, list[object]] = {}
        left_out: dict[int, int] = {}
        newest = 0
        for field in written:
            if not field.shortest:
                self._inexact()
            if not self._count():
                left_out[field.number] = left_out.get(field.number, 0) + 1
                continue
            if field.number in found and field.number != newest:
                # Its place between the others is lost.
                self._inexact()
            newest = field.number
            found.setdefault(newest, []).append(self._value(field, depth))
        if left_out:
            self.exact = False
        return _by_number(found, left_out)

    def _value(self, field: Field, depth: int) -> object:
        value = field.value
        if isinstance(value, bytes):
            if field.kind == BYTES:
                return self.of_bytes(value, depth)
            raise MalformedError  # a group that is too deep
        if isinstance(value, list):
            if depth >= MAX_DEPTH:
                raise MalformedError
            return {"group": self.message(value, depth + 1)}
        self._room.left -= FOR_A_NUMBER
        if field.kind == VARINT:
            return _integer(value)
        self._room.left -= FOR_A_NUMBER
        if field.kind == FIXED64:
            return _fixed(struct.pack("<Q", value), "fixed64", "<Q", "double", "<d")
        assert field.kind == FIXED32
        return _fixed(struct.pack("<L", value), "fixed32", "<L", "float", "<f")

    def of_bytes(self, data: bytes, depth: int = 0) -> object:
        """What a byte string is most likely."""
        text = _text(data)
        before = self._room.left
        message = self._message(data, depth) if data else None
        if text is not None:
            # `\n$` and 36 letters are a text, and a message with such a text in its field 1.
            if message is None or not _is_all_bytes(message):
                message, self._room.left = None, before
            shown = self._room.text(text)
            if isinstance(shown, dict):
                self.exact = False
                return shown
            if message is not None:
                return {"string": shown, "message": message}
            # Line feeds and tabs are small numbers as well.
            if text.isspace() and len(text) > 1:
                return {"string": shown, **dict(self._packed(data))}
            return shown
        if message is not None:
            packed = dict(self._packed(data, message))
            if not packed:
                return message
            return {"bytes": self._room.base64(data), "message": message, **packed}
        self._room.left = before - FOR_A_NUMBER
        shown = self._room.base64(data)
        readings: dict[str, object] = shown if isinstance(shown, dict) else {"bytes": shown}
        if LEFT_OUT in readings:
            self.exact = False
        readings.update(self._packed(data))
        return readings

    def _message(self, data: bytes, depth: int) -> dict[str, object] | None:
        if depth >= MAX_DEPTH or self._left <= 0 or self._room.left <= 0:
            return None
        self._trying += 1
        try:
            return self.message(fields(data), depth + 1)
        except MalformedError:
            return None
        finally:
            self._trying -= 1

    def _packed(
        self, data: bytes, message: dict[str, object] | None = None
    ) -> Iterator[tuple[str, object]]:
        """The readings as packed numbers.

        Args:
            data: the bytes.
            message: the reading as a message that they have as well. The more a message says, the
                likelier it is one: only where it is nothing but numbers, packed ones may be meant
                too, varints only if each is a byte.
        """
        if len(data) > MAX_PACKED:
            return
        if message is not None and not all(map(_is_number, _readings(message))):
            return
        if message is None or data.isascii():
            numbers = self._varints(data)
            if numbers is not None:
                yield "varints", numbers
        for name, size, form in (("doubles", 8, "<d"), ("floats", 4, "<f")):
            if len(data) % size == 0:
                values = [value for (value,) in struct.iter_unpack(form, data)]
                if all(map(_plausible, values)):
                    self._room.left -= FOR_A_NUMBER * len(values)
                    yield name, values

    def _varints(self, data: bytes) -> list[object] | None:
        numbers = []
        at = 0
        try:
            while at < len(data) and self._count():
                began = at
                number, at = varint(data, at)
                if data[at - 1] == 0 and at - began > 1:
                    return None
                numbers.append(_integer(number))
        except MalformedError:
            return None
        self._room.left -= FOR_A_NUMBER * len(numbers)
        return numbers if at == len(data) else None

    def _inexact(self) -> None:
        if self._trying:
            raise MalformedError
        self.exact = False

    def _count(self) -> bool:
        self._left -= 1
        return self._left >= 0 and self._room.left > 0


def _by_number(found: dict[int, list[object]], left_out: dict[int, int]) -> dict[str, object]:
    for number, count in left_out.items():
        found.setdefault(number, []).append({LEFT_OUT: count})
    return {
        str(number): readings[0] if len(readings) == 1 else readings
        for number, readings in found.items()
    }


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
    return not any(map(_is_number, _readings(message)))


def _is_number(reading: object) -> bool:
    """Whether it is a number, or a group: what is not preceded by a length."""
    return isinstance(reading, int) or (
        isinstance(reading, dict) and not reading.keys().isdisjoint(_NUMBERS)
    )


_NUMBERS = {"varint", "fixed32", "fixed64", "group"}


def _readings(message: dict[str, object]) -> Iterator[object]:
    for value in message.values():
        yield from value if isinstance(value, list) else (value,)
