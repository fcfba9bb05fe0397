"""Messages without a schema: fields by number, and the most likely reading of each.

The wire format (mitm/messages/wire_format.py) tells numbers and lengths, and not whether five bytes
are a string, a message or packed numbers. What can be read in two ways is shown in both, or as what
is true in any case. docs/decoding.md says how each reading is written.
"""

import math
import re
import struct
from collections.abc import Iterable, Iterator

from mitm.messages.room import (
    BYTES_A_STEP,
    FOR_A_NUMBER,
    LEFT_OUT,
    NOT_READ,
    STEPS_FOR_A_MESSAGE,
    STEPS_FOR_A_VALUE,
    Room,
)
from mitm.messages.wire_format import (
    BYTES,
    FIXED32,
    FIXED64,
    THE_REST,
    VARINT,
    Field,
    MalformedError,
    fields,
    varint,
)

# Messages in messages. Protocol Buffers themselves stop at 100, where each byte would be looked at
# a hundred times.
MAX_DEPTH = 32

# Byte strings up to this length are looked at for all that they may be. In longer ones no packed
# numbers are looked for: they are data.
MAX_PACKED = 1024

# A text is shown in any case. A long one is looked at for so many steps (mitm/messages/room.py) for
# whether it is a message as well: enough to see that it is none, and what one of texts begins with.
STEPS_FOR_A_TEXT = 128

Found = dict[int, list[object]]
"""The readings of each field that is found."""

# Bytes at the beginning of a text in which there is no control character: what has none in so many
# is a text, and in JSON those that come later do no harm.
_LOOKED_AT = 4096

# Integers up to this are exact in every reader of JSON (RFC 8259 section 6); larger ones are
# strings, as in the JSON form of Protocol Buffers.
_EXACT = 2**53 - 1

# Control characters other than tab, line feed and carriage return; those beyond ASCII, and two that
# are no characters at all, in UTF-8.
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r"})
_BEYOND_ASCII = re.compile(b"\xc2[\x80-\x9f]|\xef\xbf[\xbe\xbf]")


def guess(data: bytes, room: Room | None = None) -> tuple[dict[str, object] | None, bool]:
    """Read a message of unknown type; whatever its bytes are, this does not raise.

    Args:
        data: the message, uncompressed.
        room: how much may be told of it, and done.

    Returns:
        The fields by number, None if the bytes are no message; and whether that accounts for every
        byte, so that they could be made from it again.
    """
    room = room or Room()
    guesser = Guesser(room)
    try:
        return guesser.message(fields(data, room), 0), guesser.exact
    except MalformedError:
        return None, False


class Guesser:
    """Reads one message, or what is not known of it.

    Args:
        room: how much may be told, and done.

    Attributes:
        exact: nothing was written in a way that the reading does not show, and nothing is left out.
    """

    def __init__(self, room: Room) -> None:
        self.exact = True
        self._room = room
        self._trying = 0  # how many messages in messages are being tried

    def message(self, written: Iterable[Field], depth: int) -> dict[str, object]:
        """Read the fields of a message, or of a group.

        Args:
            written: the fields.
            depth: how many messages and groups they are in.

        Raises:
            MalformedError: they are none; where it is only tried whether they are a message, also
                if they are not written as encoders write them: another reading is likelier then.
        """
        self._room.steps -= STEPS_FOR_A_MESSAGE
        found: Found = {}
        left_out: dict[int, int] = {}
        for field in written:
            number = field.number
            if number == THE_REST:
                self.exact = False
                return {**by_number(found, left_out), NOT_READ: field.value}
            if self._room.left <= 0:
                left_out[number] = left_out.get(number, 0) + 1
                if not field.shortest:
                    self._inexact()
                continue
            self.add(found, field, depth)
        if left_out:
            self.exact = False
        return by_number(found, left_out)

    def add(self, found: Found, field: Field, depth: int = 0) -> None:
        """Read one field, and add it to the others of its message.

        Raises:
            MalformedError: see `message`.
        """
        if not field.shortest:
            self._inexact()
        readings = found.get(field.number)
        if readings is not None and field.number != next(reversed(found)):
            # Its place between the others is lost.
            self._inexact()
        reading = self._value(field, depth)
        if readings is None:
            found[field.number] = [reading]
        else:
            readings.append(reading)

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
        self._room.steps -= STEPS_FOR_A_VALUE + len(data) // BYTES_A_STEP
        text = _text(data)
        if text is not None:
            return self._text(text, data, depth)
        before = self._room.left
        message = self._message(data, depth) if data else None
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

    def _text(self, text: str, data: bytes, depth: int) -> object:
        """What a text is, which may be a message as well."""
        message = self._message_of_texts(data, depth)
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

    def _message_of_texts(self, data: bytes, depth: int) -> dict[str, object] | None:
        """The message that a text is, or the beginning of it.

        `\\n$` and 36 letters are a text, and a message with such a text in its field 1. Letters
        that mean numbers are no message: they seldom look so.
        """
        if not data or data[0] & 7 != BYTES:
            return None
        before, exact = self._room.left, self.exact
        steps = self._room.steps
        allowed = steps if len(data) <= MAX_PACKED else min(steps, STEPS_FOR_A_TEXT)
        self._room.steps = allowed
        message = self._message(data, depth)
        self._room.steps += steps - allowed
        self.exact = exact  # as the text is
        if message is None or not _is_all_bytes(message):
            self._room.left = before
            return None
        return message

    def _message(self, data: bytes, depth: int) -> dict[str, object] | None:
        if depth >= MAX_DEPTH or self._room.steps <= 0 or self._room.left <= 0:
            return None
        exact = self.exact
        self._trying += 1
        try:
            message = self.message(fields(data, self._room), depth + 1)
            # Of what is short more is said by all of its bytes than by some of its fields.
            if NOT_READ not in message or len(data) > MAX_PACKED:
                return message
        except MalformedError:
            pass
        finally:
            self._trying -= 1
        self.exact = exact
        return None

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
        if len(data) > MAX_PACKED or self._room.steps <= 0:
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
                self._room.steps -= len(values) // 2
                if all(map(_plausible, values)):
                    self._room.left -= FOR_A_NUMBER * len(values)
                    yield name, values

    def _varints(self, data: bytes) -> list[object] | None:
        numbers = []
        at = 0
        try:
            while at < len(data):
                if self._room.steps <= 0:
                    return None
                self._room.steps -= 1
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


def by_number(found: Found, left_out: dict[int, int]) -> dict[str, object]:
    """The fields of a message as they are shown, and how many of each are not."""
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
    beginning = data[:_LOOKED_AT]
    if len(beginning.translate(None, _CONTROLS)) < len(beginning):
        return None
    if not beginning.isascii() and _BEYOND_ASCII.search(beginning):
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


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
    for number, value in message.items():
        if number != NOT_READ:
            yield from value if isinstance(value, list) else (value,)
