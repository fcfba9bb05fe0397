"""Fields of messages set to something else, in the bytes themselves.

What is not concerned keeps its bytes, whatever they are: a value that a parser would refuse the
whole message for is no reason to leave the others alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mitm.messages.shape import is_map_entry, is_repeated, takes
from mitm.messages.wire_format import (
    END_GROUP,
    GROUP,
    MAX_DEPTH,
    Field,
    MalformedError,
    fields,
    of_bytes,
    varint,
    written,
)


class FieldRule(NamedTuple):
    """One field of one type of message, and what it is set to.

    Attributes:
        within: the fields that lead to the message that holds it.
        field: the field.
        value: the field as it is written, as often as it takes; b"" takes it away.
        circular: what the rule makes may hold a message of the same type.
    """

    within: tuple[FieldDescriptor, ...]
    field: FieldDescriptor
    value: bytes
    circular: bool


class Splicer:
    """Applies rules to messages.

    Args:
        rules: by the full name of the type that has the field.
        concerns: whether the rules concern a type of that name, or what may be in it.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[FieldRule]], concerns: Callable[[str], bool]
    ) -> None:
        self._rules = rules
        self._concerns = concerns

    def message(self, descriptor: Descriptor, data: bytes) -> bytes:
        """Apply the rules to a message and to those inside it.

        Raises:
            MalformedError: it is none.
        """
        return self._message(descriptor, data, ())

    def _message(self, descriptor: Descriptor, data: bytes, around: tuple[str, ...]) -> bytes:
        """The same for a message inside of others, of which the types are given."""
        name = descriptor.full_name
        for rule in self._rules.get(name, ()):
            # Else what was made would have to be made in it again, and so on.
            make = not rule.circular or name not in around
            data = _set(data, rule, rule.within, make=make)
        around = (*around, name)

        def change(field: Field, content: bytes) -> bytes:
            inner = messages.get(field.number)
            within = inner.message_type if inner and takes(inner, field.kind) else None
            if within is None or len(around) >= MAX_DEPTH:
                return content
            if is_map_entry(within):
                return self._entry(within, content, around)
            if not self._concerns(within.full_name):
                return content
            return self._message(within, content, around)

        messages = _messages_in(descriptor)
        return _each(data, change)

    def _entry(self, entry: Descriptor, content: bytes, around: tuple[str, ...]) -> bytes:
        of = entry.fields_by_number[2].message_type
        if of is None or not self._concerns(of.full_name):
            return content
        if all(field.number != 2 for field in fields(content)):
            # An empty message, which need not be written.
            value = self._message(of, b"", around)
            return content + of_bytes(2, value) if value else content
        return self._message(entry, content, around)


def _set(data: bytes, rule: FieldRule, within: Sequence[FieldDescriptor], *, make: bool) -> bytes:
    """Set the field that these lead to; messages only where they may be made."""
    if not within:
        if rule.value and rule.field.message_type and not make:
            return data
        return _replaced(data, rule.field, rule.value)
    first = within[0]
    found = False

    def change(field: Field, content: bytes) -> bytes:
        nonlocal found
        if field.number != first.number or not takes(first, field.kind):
            return content
        found = True
        return _set(content, rule, within[1:], make=make)

    changed = _each(data, change)
    if found or is_repeated(first) or not rule.value or not make:
        return changed
    made = _set(b"", rule, within[1:], make=True)
    return _replaced(data, first, _written(first, made))


def _each(data: bytes, change: Callable[[Field, bytes], bytes]) -> bytes:
    """Change the content of the fields that may be messages, where that is a message."""
    result = bytearray()
    done = 0
    for field in fields(data):
        if isinstance(field.value, int):
            continue
        _, start = varint(data, field.start)
        if field.kind == GROUP:
            # Too deep for its fields to be known, or without any.
            if isinstance(field.value, bytes):
                continue
            stop = field.value[-1].end if field.value else start
        else:
            _, start = varint(data, start)
            stop = field.end
        content = data[start:stop]
        try:
            changed = change(field, content)
        except MalformedError:
            continue
        if changed != content:
            if field.kind == GROUP:
                result += data[done:start] + changed
            else:
                result += data[done : field.start] + of_bytes(field.number, changed)
            done = stop
    return bytes(result + data[done:])


def _replaced(data: bytes, replaced: FieldDescriptor, value: bytes) -> bytes:
    """Put a value in the place of what there is of a field, or behind everything."""
    away = {replaced.number: replaced}
    if value and replaced.containing_oneof:
        away = {field.number: field for field in replaced.containing_oneof.fields}
    result = bytearray()
    done = 0
    placed = False
    for field in fields(data):
        if field.number in away and takes(away[field.number], field.kind):
            result += data[done : field.start]
            done = field.end
            if not placed:
                result += value
                placed = True
    return bytes(result + data[done:] + (b"" if placed else value))


def _written(field: FieldDescriptor, content: bytes) -> bytes:
    if field.type == FieldDescriptor.TYPE_GROUP:
        return written(field.number << 3 | GROUP) + content + written(field.number << 3 | END_GROUP)
    return of_bytes(field.number, content)


@lru_cache(maxsize=4096)
def _messages_in(descriptor: Descriptor) -> dict[int, FieldDescriptor]:
    return {field.number: field for field in descriptor.fields if field.message_type}
