"""Messages of a known type, as the JSON form of Protocol Buffers has them.

https://protobuf.dev/programming-guides/json/, as `json_format.MessageToDict` writes it with the
fields' own names. That gives up a whole message for one value that it cannot express; here each
value is read for itself. What JSON has no form for is shown as what it is made of, see
docs/decoding.md.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor

from mitm.messages.guess import Found, Guesser, by_number
from mitm.messages.plain import read_plain
from mitm.messages.room import (
    FOR_A_FIELD,
    FOR_A_MESSAGE,
    FOR_A_NUMBER,
    LEFT_OUT,
    NOT_READ,
    OVERDRAFT,
    STEPS_FOR_A_MESSAGE,
    STEPS_FOR_A_VALUE,
    STEPS_FOR_AN_UNKNOWN,
    Room,
)
from mitm.messages.scalars import Json
from mitm.messages.shape import ANY, FieldShape, TypeShape, shape_of
from mitm.messages.well_known import FORMS
from mitm.messages.wire_format import (
    BYTES,
    FIXED32,
    FIXED64,
    MAX_DEPTH,
    THE_REST,
    VARINT,
    Field,
    MalformedError,
    fields,
    varint,
)

Find = Callable[[str], Descriptor | None]

# Under this name stands how deep messages are looked into, beside the bytes of one that is deeper.
DEEPER = "@deeper_than"

# Steps (mitm/messages/room.py) that are kept for a message that may go on in another part, until
# all parts are there: enough for a short one, however much comes behind it.
_KEPT, _KEPT_AT_MOST = 64, 1024

# Under this name stand the entries of a map that are none.
NO_ENTRY = "@no_entry"


class Reading(NamedTuple):
    """What a message says.

    Attributes:
        value: as JSON.
        fits: a field of it is one of the type, or it has none at all. Else the fields are guessed.
        exact: the value accounts for all bytes.
    """

    value: Json
    fits: bool
    exact: bool


def read(type_: TypeShape, data: bytes, find: Find, room: Room) -> Reading:
    """Read a message of a type.

    Args:
        type_: what it looks like.
        data: the message, uncompressed.
        find: gives the type of a full name, for what is in an `Any`.
        room: how much may be told, and done.

    Raises:
        MalformedError: it is no message at all.
    """
    if type_.name not in FORMS:
        value = read_plain(type_, data, room)
        if value is not None:
            return Reading(value, True, True)
    return _Reader(find, room).read(type_, data)


class _Reader:
    """Reads one message.

    Attributes:
        fits: a field was of the type.
        exact: nothing was written in a way that the value does not show, and nothing is left out.
    """

    def __init__(self, find: Find, room: Room) -> None:
        self.fits = False
        self.exact = True
        self._find = find
        self._room = room
        self._guesser: Guesser | None = None

    def read(self, type_: TypeShape, data: bytes) -> Reading:
        """Read a message that stands in no other one.

        Raises:
            MalformedError: it is none.
        """
        value = self._message(type_, fields(data, self._room), 1)
        fits = self.fits or not data
        if not fits and LEFT_OUT in value:
            raise MalformedError  # nothing but groups that are too deep
        # What nothing fits is a guess, which accounts for what the type has no field for.
        exact = (self.exact or not fits) and (self._guesser is None or self._guesser.exact)
        return Reading(value, fits, exact)

    def _guess(self) -> Guesser:
        """What reads what is not of the type; its limits are those of the whole message."""
        if self._guesser is None:
            self._guesser = Guesser(self._room)
        return self._guesser

    def _message(self, type_: TypeShape, written: Iterable[Field], depth: int) -> Json:
        """Read the fields of a message that stands so deep, the outermost at 1."""
        self._room.left -= FOR_A_MESSAGE
        self._room.steps -= STEPS_FOR_A_MESSAGE
        if type_.name == ANY:
            return self._any(written, depth)
        return self._formed(type_, self._fields(type_, written, depth))

    def _of_bytes(self, type_: TypeShape, data: bytes, depth: int) -> Json:
        """The same of a message within another one."""
        value = read_plain(type_, data, self._room, depth)
        if value is None:
            return self._message(type_, fields(data, self._room), depth)
        self.fits = self.fits or bool(value)
        return self._formed(type_, value)

    def _formed(self, type_: TypeShape, value: dict[str, Json]) -> Json:
        """What is read of a message in the form of its type."""
        form = FORMS.get(type_.name)
        if form is None:
            return value
        self._room.steps -= STEPS_FOR_A_MESSAGE
        try:
            told, exact = form(value, type_)
        except (ValueError, OverflowError, TypeError, KeyError):
            # JSON has no form for it: it is shown as what it is made of.
            return value
        self.exact = self.exact and exact
        if isinstance(told, str):
            self._room.left -= len(told)
        return told

    def _fields(self, type_: TypeShape, written: Iterable[Field], depth: int) -> dict[str, Json]:
        single: dict[int, Any] = {}  # of a message all parts, which are merged
        lists: dict[int, Any] = {}
        packed: set[int] = set()
        unknown: list[Field] = []
        left_out: dict[int, int] = {}
        chosen: dict[str, int] = {}
        kept = 0
        room = self._room
        for field in written:
            number, kind, content, _, _, shortest = field
            if room.left <= 0 and number != THE_REST:
                left_out[number] = left_out.get(number, 0) + 1
                continue
            room.left -= FOR_A_FIELD
            room.steps -= 1  # beside what it takes to find it
            if not shortest:
                self.exact = False
            known = type_.fields.get(number) or type_.field(number)
            if known is None or not known.takes(kind):
                unknown.append(field)
                room.steps -= STEPS_FOR_AN_UNKNOWN
            elif known.is_map:
                self._entry(known, lists.setdefault(number, {}), field, depth)
            elif known.repeated:
                told = lists.get(number)
                if told is None:
                    told = lists[number] = []
                elif number in packed or kind != known.kind:
                    self.exact = False  # packed in parts
                if kind == known.kind:
                    told.append(self._single(known, content, depth))
                else:
                    packed.add(number)
                    self._numbers(known, told, field)
            else:
                if known.oneof and chosen.setdefault(known.oneof, number) != number:
                    # The last one counts.
                    single.pop(chosen[known.oneof], None)
                    chosen[known.oneof] = number
                    self.exact = False
                if known.message:
                    single.setdefault(number, []).append(content)
                    assert not isinstance(content, int)
                    keep = _KEPT + min(len(content), _KEPT_AT_MOST)
                    kept += keep
                    room.steps -= keep
                else:
                    if number in single:
                        self.exact = False
                    single[number] = content
        room.steps += kept
        value: dict[str, Json] = {}
        numbers = single.keys() | lists.keys() | left_out.keys() if lists or left_out else single
        for number in sorted(numbers):
            known = type_.fields.get(number) or type_.field(number)
            if known is None:
                continue
            # What stands but once is told even then; up to a limit, as names can be long.
            if self._room.left <= -OVERDRAFT and number in single:
                left_out[number] = left_out.get(number, 0) + 1
                continue
            self._room.left -= len(known.name)
            if number in single:
                whole = self._merged(single[number]) if known.message else single[number]
                value[known.name] = self._single(known, whole, depth)
            elif number in lists:
                value[known.name] = lists[number]
            if number in left_out and known.repeated:
                held = value.setdefault(known.name, {} if known.is_map else [])
                count = self._left_out(left_out.pop(number))
                held.update(count) if known.is_map else held.append(count)
        if left_out:
            self.fits = True
            value |= self._left_out(sum(left_out.values()))
        if unknown:
            value |= self._unknown(unknown)
        return value

    def _unknown(self, written: list[Field]) -> dict[str, Json]:
        """Fields that the type does not have, guessed; and what is not read."""
        self.exact = False
        self._room.steps += STEPS_FOR_AN_UNKNOWN * len(written)
        found: Found = {}
        left_out: dict[int, int] = {}
        beside: dict[str, Json] = {}
        for field in written:
            if field.number == THE_REST:
                beside[NOT_READ] = field.value
            elif self._room.left <= 0 or self._room.steps <= 0:
                left_out[field.number] = left_out.get(field.number, 0) + 1
            else:
                try:
                    self._guess().add(found, field)
                except MalformedError:  # a group that is too deep
                    beside[LEFT_OUT] = beside.get(LEFT_OUT, 0) + 1
        if left_out or beside:
            self._guess().exact = False
        return by_number(found, left_out) | beside

    def _merged(self, parts: list[Any]) -> Any:
        """A message that may be written in parts."""
        if len(parts) == 1:
            return parts[0]
        self.exact = False
        if all(isinstance(part, bytes) for part in parts):
            return b"".join(parts)
        return [field for part in parts if isinstance(part, list) for field in part]

    def _single(self, known: FieldShape, value: Any, depth: int) -> Json:
        """One value; of a message its bytes, or the fields of a group."""
        if known.message:
            return self._inner(shape_of(known.message), value, depth)
        self.fits = True
        self._room.steps -= STEPS_FOR_A_VALUE
        if known.kind == BYTES:
            return self._bytes(value, is_text=known.is_text)
        self.exact = self.exact and known.fits(value)
        self._room.left -= FOR_A_NUMBER
        told = known.tell(value)
        if isinstance(told, str):
            self._room.left -= len(told)
        return told

    def _inner(self, type_: TypeShape, value: bytes | list[Field], depth: int) -> Json:
        """A message within another one."""
        if self._room.left <= 0:
            return self._left_out(len(value))
        try:
            if isinstance(value, list):
                if depth >= MAX_DEPTH:
                    return {**self._left_out(len(value)), DEEPER: MAX_DEPTH}
                told = self._message(type_, value, depth + 1)
            elif depth >= MAX_DEPTH:
                return {**self._raw(value), DEEPER: MAX_DEPTH}
            else:
                told = self._of_bytes(type_, value, depth + 1)
        except MalformedError:
            # Parsers refuse all of the message for it; what stands beside it is as it is.
            return self._guess().of_bytes(value) if isinstance(value, bytes) else {}
        self.fits = True
        return told

    def _bytes(self, value: bytes, *, is_text: bool) -> Json:
        if is_text:
            try:
                told = self._room.text(value.decode())
            except UnicodeDecodeError:
                return self._raw(value)
        else:
            told = self._room.base64(value)
        self.exact = self.exact and isinstance(told, str)
        return told

    def _raw(self, value: bytes) -> dict[str, Json]:
        """Bytes that are not what they should be."""
        self._room.left -= FOR_A_NUMBER
        told = self._room.base64(value)
        if isinstance(told, dict):
            self.exact = False
            return told
        return {"bytes": told}

    def _numbers(self, known: FieldShape, told: list[Json], field: Field) -> None:
        """Add numbers that are packed to a list."""
        assert isinstance(field.value, bytes)
        self.fits = True
        # The shortest way to write a float is found by trying.
        for_each = 2 if known.kind == FIXED32 else 0
        at = 0
        for number, start, at in _unpacked(known.kind, field.value):
            if self._room.left <= 0 or self._room.steps <= 0:
                told.append(self._left_out(_count(known.kind, field.value[start:])))
                return
            self._room.steps -= for_each
            if known.kind == VARINT and at - start > 1 and not field.value[at - 1]:
                self.exact = False
            told.append(self._single(known, number, 0))
        if at < len(field.value):
            told.append(self._raw(field.value[at:]))

    def _left_out(self, count: int) -> dict[str, Json]:
        self.exact = False
        return {LEFT_OUT: count}

    def _entry(self, known: FieldShape, told: dict[str, Json], field: Field, depth: int) -> None:
        """Add an entry to a map."""
        assert known.message
        assert isinstance(field.value, bytes)
        entry = shape_of(known.message)
        key, of_key = entry.fields[1], entry.fields[2]
        try:
            inner = list(fields(field.value, self._room))
        except MalformedError:
            none = told.setdefault(NO_ENTRY, [])
            if not isinstance(none, list):  # a key is called so as well
                none = told[NO_ENTRY] = []
                self.exact = False
            none.append(self._guess().of_bytes(field.value))
            return
        self.fits = True
        if inner and inner[-1].number == THE_REST:
            self.exact = False
            before = told.get(NOT_READ)
            told[NOT_READ] = len(field.value) + (before if isinstance(before, int) else 0)
            return
        self._room.steps -= STEPS_FOR_A_MESSAGE
        self._room.left -= FOR_A_FIELD * len(inner)
        keys = [each for each in inner if each.number == 1 and each.kind == key.kind]
        values = [each for each in inner if each.number == 2 and each.kind == of_key.kind]
        # Encoders write both, and nothing else.
        if not len(keys) == len(values) == 1 or len(inner) > 2:
            self.exact = False
        self.exact = self.exact and all(each.shortest for each in inner)
        name = self._key(key, keys[-1].value if keys else None)
        self.exact = self.exact and name not in told
        if values:
            parts = [each.value for each in values]
            whole = self._merged(parts) if of_key.message else parts[-1]
            told[name] = self._single(of_key, whole, depth + 1)
        elif of_key.message:
            told[name] = self._inner(shape_of(of_key.message), b"", depth + 1)
        else:
            told[name] = of_key.default

    def _key(self, known: FieldShape, value: Any) -> str:
        """The key of a map, which is a string in JSON."""
        if value is None:
            told = known.default
        elif known.kind == BYTES:
            try:
                text = value.decode()
            except UnicodeDecodeError:
                text = value.decode("utf-8", "backslashreplace")
                self.exact = False
            told = self._room.text(text)
            if isinstance(told, dict):
                self.exact = False
                told = told["string"] + "…"
        else:
            told = self._single(known, value, 0)
        if isinstance(told, bool):
            return "true" if told else "false"
        return str(told)

    def _any(self, written: Iterable[Field], depth: int) -> Json:
        """A message with the name of its type (google/protobuf/any.proto)."""
        parts: dict[int, bytes] = {}
        others: list[Field] = []
        for field in written:
            self.exact = self.exact and field.shortest
            if field.number in (1, 2) and isinstance(field.value, bytes) and field.kind == BYTES:
                # Nobody writes an empty one.
                self.exact = self.exact and field.number not in parts and bool(field.value)
                parts[field.number] = field.value
            else:
                others.append(field)
                self._room.steps -= STEPS_FOR_AN_UNKNOWN
        told: dict[str, Json] = {}
        if parts:
            self.fits = True
            url = self._bytes(parts.get(1, b""), is_text=True)
            told["@type"] = url
            name = url.rpartition("/")[2] if isinstance(url, str) else ""
            told |= self._within_any(self._find(name), parts.get(2, b""), depth)
        if others:
            told |= self._unknown(others)
        return told

    def _within_any(
        self, descriptor: Descriptor | None, content: bytes, depth: int
    ) -> dict[str, Json]:
        if depth >= MAX_DEPTH:
            return {"value": self._room.base64(content), DEEPER: MAX_DEPTH}
        if self._room.left <= 0:
            return self._left_out(len(content))
        self._room.steps -= STEPS_FOR_A_MESSAGE
        try:
            if descriptor:
                self.fits = False
                told = self._of_bytes(shape_of(descriptor), content, depth + 1)
                fits, self.fits = self.fits or not content, True
                if fits and (descriptor.full_name in FORMS or descriptor.full_name == ANY):
                    return {"value": told}
                if fits:
                    return dict(told)
            return self._guess().message(fields(content, self._room), 0)
        except MalformedError:
            self.fits = True
            return {"value": self._bytes(content, is_text=False)}


_SIZES = {FIXED64: 8, FIXED32: 4}
_NOT_LAST = bytes(range(0x80, 0x100))  # bytes that a varint goes on after


def _unpacked(kind: int, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Packed numbers, and where each begins and ends, up to what is none."""
    at = 0
    size = _SIZES.get(kind, 1)
    while at + size <= len(data):
        start = at
        if kind == VARINT:
            try:
                number, at = varint(data, at)
            except MalformedError:
                return
        else:
            at += size
            number = int.from_bytes(data[start:at], "little")
        yield number, start, at


def _count(kind: int, data: bytes) -> int:
    """How many packed numbers there are."""
    if kind == VARINT:
        return len(data.translate(None, _NOT_LAST))
    return len(data) // _SIZES[kind]
