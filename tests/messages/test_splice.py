"""Rules applied to bytes: as Protocol Buffers would set the fields, and nothing else is touched."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from mitm.messages.rules import Rules
from mitm.messages.shape import is_map_entry, is_repeated
from mitm.messages.wire_format import MAX_DEPTH
from tests.messages.everything import METHODS, OLD_THING, THING, decoded, messages, new, schema
from tests.messages.guessed import field, varint


def _rules(*texts: str) -> Rules:
    return Rules(texts, schema())


# Each with what it does to one message, by the library. What may hold a message of the same type is
# made in the outermost one alone.
_RULES: dict[str, tuple[str, Any]] = {
    "an_int32=5": (THING, lambda m, make: setattr(m, "an_int32", 5)),
    "a_string=": (THING, lambda m, make: m.ClearField("a_string")),
    "a_string=Jörg": (THING, lambda m, make: setattr(m, "a_string", "Jörg")),
    "number=7": (THING, lambda m, make: setattr(m, "number", 7)),
    "text=": (THING, lambda m, make: m.ClearField("text")),
    "numbers=[1, 2]": (THING, lambda m, make: _put(m, "numbers", [1, 2])),
    'strings=["a", "b"]': (THING, lambda m, make: _put(m, "strings", ["a", "b"])),
    "at=1970-01-01T00:00:05Z": (THING, lambda m, make: m.at.CopyFrom(_time(5))),
    "thing.colour=RED": (THING, lambda m, make: _to(m, make, ["thing"], "colour", 1)),
    "thing.thing.maybe=0": (THING, lambda m, make: _to(m, make, ["thing"] * 2, "maybe", 0)),
    "things.text=x": (THING, lambda m, make: _all(m.things, "text", "x")),
    "other.a_bool=true": (THING, lambda m, make: _to(m, make, ["other"], "a_bool", True)),
    "name=Mallory": (OLD_THING, lambda m, make: setattr(m, "name", "Mallory")),
    "number=8": (OLD_THING, lambda m, make: setattr(m, "number", 8)),
    "within.text=x": (OLD_THING, lambda m, make: _to(m, make, ["within"], "text", "x")),
    "each.number=3": (OLD_THING, lambda m, make: _all(m.each, "number", 3)),
}


def _to(message: Any, make: bool, path: list[str], name: str, value: object) -> None:
    for each in path:
        if not make and not message.HasField(each):
            return
        message = getattr(message, each)
    setattr(message, name, value)


def _all(held: Sequence[Any], name: str, value: object) -> None:
    for each in held:
        setattr(each, name, value)


def _put(message: Any, name: str, values: Sequence[object]) -> None:
    message.ClearField(name)
    getattr(message, name).extend(values)


def _time(seconds: int) -> Any:
    return new("google.protobuf.Timestamp", seconds=seconds)


def _visit(message: Any, type_name: str, change: Any, make: bool = True) -> None:
    if message.DESCRIPTOR.full_name == type_name:
        change(message, make)
        make = False
    for each, value in message.ListFields():
        if each.message_type is None:
            continue
        if is_map_entry(each.message_type):
            held = value.values() if each.message_type.fields_by_name["value"].message_type else ()
        else:
            held = value if is_repeated(each) else (value,)
        for inner in held:
            _visit(inner, type_name, change, make)


@given(st.one_of(messages(THING), messages(OLD_THING)), st.sampled_from(sorted(_RULES)))
def test_the_fields_are_set_as_protocol_buffers_would_set_them(message: Message, rule: str) -> None:
    type_name, change = _RULES[rule]
    rules = _rules(f"{type_name}.{rule}")
    name = message.DESCRIPTOR.full_name
    before = message.SerializeToString()
    after = rules.message(name, before)
    _visit(message, type_name, change)
    wanted = message.SerializeToString(deterministic=True)
    got = type(message).FromString(before if after is None else after)
    assert got.SerializeToString(deterministic=True) == wanted
    # Twice changes nothing more.
    assert rules.message(name, before if after is None else after) is None


_LATIN_1 = "Jörg".encode("latin-1")

# What a parser refuses, or would write otherwise than it came.
_ODD = {
    "a string that is not UTF-8": field(14, _LATIN_1),
    "a time in milliseconds": field(60, b"\x08" + varint(1_700_000_000_000)),
    "an Any of an unknown type": field(67, field(1, b"x/a.B") + field(2, b"\xff")),
    "a field that the type does not have": field(200, b"Hi"),
    "a field with its default": b"\x20\x00",
    "a number that is longer than need be": b"\x20\x81\x00",
    "a message that is none": field(22, b"\xff"),
    "an entry that is none": field(31, b"\xff"),
    "a field of another wire type": b"\x25\x01\x02\x03\x04",
    "the same twice": b"\x20\x01\x20\x02",
    "a list that is not packed": b"\xa0\x01\x01\xa0\x01\x02",
    "a group that nobody knows": b"\xc3\x0c\x08\x05\xc4\x0c",
}


@pytest.mark.parametrize("odd", _ODD.values(), ids=_ODD)
@pytest.mark.parametrize("before", [True, False])
def test_whatever_stands_around_a_field_keeps_its_bytes(odd: bytes, before: bool) -> None:
    name, forged = field(40, b"Nicolas"), field(40, b"Mallory")
    data = odd + name if before else name + odd
    rules = _rules(f"{THING}.text=Mallory")
    assert rules.message(THING, data) == (odd + forged if before else forged + odd)
    # Also where the message stands inside of another, and the odd value around it.
    inner = field(17, data)
    forged = field(17, odd + forged if before else forged + odd)
    rules = _rules(f"{THING}.thing.text=Mallory")
    assert rules.message(THING, odd + inner + odd) == odd + forged + odd


def test_a_required_field_that_is_missing_is_no_reason_to_leave_the_others() -> None:
    assert _rules(f"{OLD_THING}.number=8").message(OLD_THING, b"\x20\x07") == b"\x20\x08"
    within = _rules(f"{OLD_THING}.thing.number=8").message(OLD_THING, b"")
    assert within == field(11, b"\x20\x08")


def test_a_value_in_a_map_that_is_not_written_is_made() -> None:
    entry = b"\x08\x05"
    changed = _rules(f"{THING}.text=x").message(THING, field(31, entry))
    assert changed == field(31, entry + field(2, field(40, b"x"))) + field(40, b"x")


def test_messages_are_changed_as_deep_as_they_are_looked_into() -> None:
    data = b"\x18\x07"
    for _ in range(2 * MAX_DEPTH):
        data = field(17, data)
    changed = _rules(f"{THING}.an_int32=8").message(THING, data)
    assert changed
    seen: Any = decoded(THING, changed).value
    for _ in range(MAX_DEPTH - 1):
        assert seen["an_int32"] == 8
        seen = seen["thing"]


@given(st.binary(max_size=100), st.sampled_from(sorted(_RULES)))
def test_any_bytes_are_changed_once_or_refused(data: bytes, rule: str) -> None:
    type_name, _ = _RULES[rule]
    rules = _rules(f"{type_name}.{rule}")
    for name in METHODS:
        try:
            changed = rules.message(name, data)
        except Exception as error:
            assert type(error).__name__ == "DecodeError"  # noqa: PT017
            continue
        assert rules.message(name, data if changed is None else changed) is None
