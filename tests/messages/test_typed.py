"""Messages of known types: the JSON form of Protocol Buffers, and what has none."""

import base64
import contextlib
import json
import struct
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from mitm.messages import Schema
from mitm.messages.room import LEFT_OUT, NOT_READ
from mitm.messages.typed import DEEPER, NO_ENTRY
from mitm.messages.wire_format import MAX_DEPTH
from tests.messages.everything import (
    METHODS,
    OLD_THING,
    THING,
    as_json,
    decoded,
    files,
    messages,
    new,
)
from tests.messages.guessed import field, varint


@given(st.one_of(messages(THING), messages(OLD_THING)))
def test_what_json_can_express_is_as_protocol_buffers_write_it(message: Message) -> None:
    data = message.SerializeToString()
    name = message.DESCRIPTOR.full_name
    told = decoded(name, data)
    assert told.value == as_json(message)
    assert (told.type, told.raw, told.source) == (name, None, "descriptors")
    json.dumps(told.value, allow_nan=False)


# An odd value, and what stands around it.

_AROUND: dict[str, Any] = {"an_int32": 7, "strings": ["a", "b"], "thing": {"text": "c"}}


def _around(odd: bytes) -> bytes:
    around = new(THING, an_int32=7, strings=["a", "b"], thing=new(THING, text="c"))
    data: bytes = around.SerializeToString()
    return odd + data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _seconds(number: int, nanos: int = 0) -> bytes:
    return b"\x08" + varint(number % 2**64) + (b"\x10" + varint(nanos % 2**64) if nanos else b"")


def _any(url: str, value: bytes) -> bytes:
    return field(1, url.encode()) + field(2, value)


_LATIN_1 = "Jörg".encode("latin-1")
_NAN = struct.pack("<d", float("nan"))
_UNKNOWN = "type.googleapis.com/a.B"


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        # A time in milliseconds is in the year 55840.
        (field(60, _seconds(1_700_000_000_000)), {"at": {"seconds": "1700000000000"}}),
        (field(60, _seconds(5, -1)), {"at": {"seconds": "5", "nanos": -1}}),
        (field(60, _seconds(5, 10**9)), {"at": {"seconds": "5", "nanos": 1000000000}}),
        (field(60, _seconds(-62_135_596_801)), {"at": {"seconds": "-62135596801"}}),
        (field(60, _seconds(253_402_300_800)), {"at": {"seconds": "253402300800"}}),
        (field(69, _seconds(1)) + field(69, _seconds(2**62)),
         {"ats": ["1970-01-01T00:00:01Z", {"seconds": "4611686018427387904"}]}),
        (field(34, field(1, b"k") + field(2, _seconds(5, -1))),
         {"times": {"k": {"seconds": "5", "nanos": -1}}}),
        (field(61, _seconds(315_576_000_001)), {"lasts": {"seconds": "315576000001"}}),
        (field(61, _seconds(1, -1)), {"lasts": {"seconds": "1", "nanos": -1}}),
        (field(62, field(1, b"a_1")), {"mask": {"paths": ["a_1"]}}),
        (field(62, field(1, b"aB")), {"mask": {"paths": ["aB"]}}),
        (field(62, field(1, b"\xff")), {"mask": {"paths": [{"bytes": "/w=="}]}}),
        # NaN in a Struct, a Value, a ListValue; elsewhere it is a string in JSON.
        (field(63, field(1, field(1, b"k") + field(2, b"\x11" + _NAN))),
         {"struct": {"k": {"number_value": "NaN"}}}),
        (field(64, b"\x11" + struct.pack("<d", float("-inf"))),
         {"value": {"number_value": "-Infinity"}}),
        (field(65, field(1, b"\x20\x01") + field(1, b"\x11" + _NAN)),
         {"list": [True, {"number_value": "NaN"}]}),
        (b"\x09" + _NAN, {"a_double": "NaN"}),
        # Strings that are not UTF-8
        (field(14, _LATIN_1), {"a_string": {"bytes": _base64(_LATIN_1)}}),
        (field(14, b"\xed\xa0\x80"), {"a_string": {"bytes": "7aCA"}}),  # a lone surrogate
        (field(63, field(1, field(1, b"k") + field(2, field(3, _LATIN_1)))),
         {"struct": {"k": {"string_value": {"bytes": _base64(_LATIN_1)}}}}),
        (field(80, field(1, _LATIN_1)), {"wrapped_string": {"bytes": _base64(_LATIN_1)}}),
        (field(40, _LATIN_1), {"text": {"bytes": _base64(_LATIN_1)}}),
        # An Any of an unknown type, of one whose bytes are none, and with an odd value in it.
        (field(67, _any(_UNKNOWN, b"\x08\x05\x12\x02Hi")),
         {"any": {"@type": _UNKNOWN, "1": 5, "2": "Hi"}}),
        (field(67, _any(_UNKNOWN, b"\xff")), {"any": {"@type": _UNKNOWN, "value": "/w=="}}),
        (field(67, _any(_UNKNOWN, b"")[:-2]), {"any": {"@type": _UNKNOWN}}),
        (field(67, field(2, b"\x08\x05")), {"any": {"@type": "", "1": 5}}),
        (field(67, field(1, b"\xff") + field(2, b"\x08\x05")),
         {"any": {"@type": {"bytes": "/w=="}, "1": 5}}),
        (field(67, _any(f"x/{THING}", b"\xff")), {"any": {"@type": f"x/{THING}", "value": "/w=="}}),
        (field(67, _any(f"x/{THING}", field(14, _LATIN_1))),
         {"any": {"@type": f"x/{THING}", "a_string": {"bytes": _base64(_LATIN_1)}}}),
        (field(67, _any("x/google.protobuf.Timestamp", _seconds(5, -1))),
         {"any": {"@type": "x/google.protobuf.Timestamp",
                  "value": {"seconds": "5", "nanos": -1}}}),
        (field(68, _any(_UNKNOWN, b"\x08\x05"))
         + field(68, _any("x/google.protobuf.BoolValue", b"\x08\x01")),
         {"anys": [{"@type": _UNKNOWN, "1": 5},
                   {"@type": "x/google.protobuf.BoolValue", "value": True}]}),
        # A field that is written with its default
        (b"\x20\x00", {"an_int64": "0"}),
        (b"\x68\x00", {"a_bool": False}),
        (field(14, b""), {"a_string": ""}),
        (field(20, b""), {"numbers": []}),
        (b"\x80\x01\x00", {"colour": "GREY"}),
        # An enum's number without a name
        (b"\x80\x01\x2a", {"colour": 42}),
        (field(23, b"\x01\x2a"), {"colours": ["RED", 42]}),
        # A message in which there is no message
        (field(22, b"\x18\x01") + field(22, b"\xff"), {"things": [{"an_int32": 1},
                                                               {"bytes": "/w=="}]}),
        (field(31, b"\x08\x05\x12\x00") + field(31, b"\xff"),
         {"by_number": {"5": {}, NO_ENTRY: [{"bytes": "/w=="}]}}),
        # Packed numbers of which the last one breaks off
        (field(20, b"\x01\x02\x83"), {"numbers": [1, 2, {"bytes": "gw=="}]}),
        (field(24, struct.pack("<d", 0.5) + b"\x01"), {"doubles": [0.5, {"bytes": "AQ=="}]}),
    ],
)  # fmt: skip
def test_an_odd_value_is_shown_for_itself_and_costs_nothing_around_it(
    odd: bytes, value: dict[str, object]
) -> None:
    told = decoded(THING, _around(odd))
    json.dumps(told.value, allow_nan=False)
    assert told == (THING, _AROUND | value, None, "descriptors")
    # And by itself.
    assert decoded(THING, odd) == (THING, value, None, "descriptors")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # Fields that the type does not have, wherever they stand, and of the wrong wire type
        (b"\x18\x01" + field(200, b"Hi"), {"an_int32": 1, "200": "Hi"}),
        (field(17, b"\x18\x01" + field(200, b"Hi")), {"thing": {"an_int32": 1, "200": "Hi"}}),
        (b"\x18\x01" + field(4, b"Hi"), {"an_int32": 1, "4": "Hi"}),
        (b"\x1d\x00\x00\xc0\x3f\x20\x01", {"3": {"fixed32": 1069547520, "float": 1.5},
                                           "an_int64": "1"}),
        (field(60, b"\x08\x05" + field(7, b"Hi")), {"at": {"seconds": "5", "7": "Hi"}}),
        (b"\x18\x01" + b"\xc3\x0c\x08\x05\xc4\x0c", {"an_int32": 1, "200": {"group": {"1": 5}}}),
        # The last one of several counts; messages are merged.
        (b"\x18\x01\x18\x02", {"an_int32": 2}),
        (field(40, b"a") + b"\xc8\x02\x05", {"number": "5"}),
        (field(17, b"\x18\x01") + field(17, b"\x20\x02"),
         {"thing": {"an_int32": 1, "an_int64": "2"}}),
        (field(30, field(1, b"k") + field(2, b"a")) + field(30, field(1, b"k") + field(2, b"b")),
         {"names": {"k": "b"}}),
        # Numbers that are longer than need be, or than their type
        (b"\x18\x81\x00", {"an_int32": 1}),
        (b"\x18" + varint(2**40 + 5), {"an_int32": 5}),
        (b"\x18" + varint(2**32 - 1), {"an_int32": -1}),
        (b"\x28" + varint(2**64 - 1), {"a_uint32": 2**32 - 1}),
        (b"\x68\x02", {"a_bool": True}),
        (field(20, b"\x81\x00"), {"numbers": [1]}),
        # Lists that are packed in part
        (field(20, b"\x01\x02") + b"\xa0\x01\x03", {"numbers": [1, 2, 3]}),
        # A time that is written with its defaults
        (field(60, b"\x08\x00"), {"at": "1970-01-01T00:00:00Z"}),
        (field(82, b"\x08\x00"), {"wrapped_int64": "0"}),
        (field(64, b""), {"value": None}),
        # Odd keys
        (field(30, field(1, b"\xff") + field(2, b"a")), {"names": {r"\xff": "a"}}),
        (field(30, field(2, b"a")), {"names": {"": "a"}}),
        (field(31, b"\x08\x05"), {"by_number": {"5": {}}}),
        (field(32, b"\x08\x02\x10\x01"), {"by_bool": {"true": "RED"}}),
        (field(32, b""), {"by_bool": {"false": "GREY"}}),
        (field(34, field(1, b"k")), {"times": {"k": "1970-01-01T00:00:00Z"}}),
        (field(30, field(1, b"k") + field(2, b"a") + b"\x18\x01"), {"names": {"k": "a"}}),
    ],
)  # fmt: skip
def test_what_the_value_does_not_account_for_is_shown_as_bytes_beside_it(
    data: bytes, value: dict[str, object]
) -> None:
    assert decoded(THING, data) == (THING, value, data, "descriptors")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x20\x01", {"number": 1}),  # without the name, which is required
        (field(1, _LATIN_1), {"name": {"bytes": _base64(_LATIN_1)}}),
        (b"\x10\x09", {"colour": 9}),  # no number of a closed enum
        (b"\x18\x01\x18\x09", {"colours": ["RED", 9]}),
        (b"\x20\x07", {"number": 7}),
        (b"\x3b\x0a\x01a\x3c", {"within": {"text": "a"}}),
        (b"\x43\x08\x01\x44\x43\x44", {"each": [{"number": 1}, {}]}),
        (b"\x28\x01\x28\x02", {"numbers": [1, 2]}),
        (field(6, b"\x01\x02"), {"packed_numbers": [1, 2]}),
        (field(100, b"Hi"), {"[old.note]": "Hi"}),
        (field(100, _LATIN_1), {"[old.note]": {"bytes": _base64(_LATIN_1)}}),
        (field(101, b"\x20\x01"), {"[old.more]": [{"number": 1}]}),
        (field(10, field(1, b"k") + b"\x10\x09"), {"by_name": {"k": 9}}),
    ],
)
def test_the_older_syntax_is_read_alike(data: bytes, value: dict[str, object]) -> None:
    assert decoded(OLD_THING, data) == (OLD_THING, value, None, "descriptors")


def test_bytes_that_do_not_fit_the_type_at_all_are_guessed() -> None:
    for data, value in ((field(4, b"Hi"), {"4": "Hi"}), (field(200, b"Hi"), {"200": "Hi"})):
        assert decoded(THING, data) == (THING, value, None, "guess")
    assert decoded(THING, b"\x18") == (THING, None, b"\x18", None)


@given(st.binary(max_size=100))
def test_no_bytes_make_it_raise_or_be_no_json(data: bytes) -> None:
    for name in (THING, OLD_THING):
        told = decoded(name, data)
        json.dumps(told.value, allow_nan=False)
        assert told.raw in (None, data)
        assert (told.value is None) == (told.source is None)


@given(messages(THING), st.data())
def test_what_went_wrong_on_its_way_does_not_either(message: Message, data: st.DataObject) -> None:
    wire = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3)) if wire else 0):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    told = decoded(THING, bytes(wire))
    json.dumps(told.value, allow_nan=False)
    assert told.value is not None or told.raw == bytes(wire)


# Messages in messages


def _nested(levels: int) -> bytes:
    data = b"\x18\x07"
    for _ in range(levels):
        data = field(17, data)
    return data


def test_messages_are_looked_into_as_deep_as_protocol_buffers_do() -> None:
    deepest = _nested(MAX_DEPTH - 1)
    assert decoded(THING, deepest).value == as_json(new(THING).FromString(deepest))
    # One more, and what stands around it is shown with what is inside.
    data = b"\x20\x01" + _nested(MAX_DEPTH + 5)
    _, value, raw, source = decoded(THING, data)
    assert (raw, source) == (None, "descriptors")
    assert value
    assert value["an_int64"] == "1"
    inner: Any = value
    for _ in range(MAX_DEPTH):
        inner = inner["thing"]
    assert inner == {"bytes": _base64(_nested(5)), DEEPER: MAX_DEPTH}
    json.dumps(value)


def test_values_lists_and_anys_in_each_other_are_looked_into_as_deep() -> None:
    value = field(3, b"end")
    for _ in range(200):
        value = field(6, field(1, value))  # Value.list_value, ListValue.values
    any_ = _any(f"x/{THING}", b"\x18\x07")
    for _ in range(200):
        any_ = _any("x/google.protobuf.Any", any_)
    for odd, number in ((value, 64), (any_, 67)):
        told = decoded(THING, b"\x20\x01" + field(number, odd))
        assert told.source == "descriptors"
        assert told.value
        assert told.value["an_int64"] == "1"
        assert DEEPER in json.dumps(told.value)


def test_groups_in_each_other_that_are_not_looked_into_are_told_as_left_out() -> None:
    data = b"\x20\x01" + 10_000 * b"\x3b" + 10_000 * b"\x3c"
    told = decoded(OLD_THING, data)
    within = {"7": {LEFT_OUT: 1}}
    assert told == (OLD_THING, {"number": 1, "within": within}, data, "descriptors")


@given(messages(THING), st.data())
def test_types_that_went_wrong_never_make_it_raise(message: Message, data: st.DataObject) -> None:
    """They may come from a server's reflection service."""
    wrong = FileDescriptorSet()
    for file in files().file:
        wire = bytearray(file.SerializeToString())
        for _ in range(data.draw(st.integers(0, 2))):
            wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(DecodeError):
            wrong.file.append(FileDescriptorProto.FromString(bytes(wire)))
    told = Schema(wrong).decode(METHODS[THING], "client", message.SerializeToString())
    json.dumps(told.value, allow_nan=False)


def test_keys_that_are_called_as_what_is_told_beside_them_do_no_harm() -> None:
    for name in (NO_ENTRY, LEFT_OUT, NOT_READ):
        entry = field(30, field(1, name.encode()) + field(2, b"x"))
        for more in (field(30, b"\xff"), field(30, b""), 50_000 * field(30, field(1, b"k"))):
            told = decoded(THING, entry + more)
            json.dumps(told.value)
            assert told.value
            # Both are in the value, or the bytes are beside it.
            assert told.raw or told.value == {"names": {name: "x", NO_ENTRY: [{"bytes": "/w=="}]}}


def test_a_map_whose_entries_have_no_key_is_a_list() -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    type_ = file.message_type.add(name="M")
    entry = type_.nested_type.add(name="NamesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=5, type=9, label=1)
    entry.field.add(name="value", number=2, type=9, label=1)
    type_.field.add(name="names", number=1, type=11, type_name=".a.M.NamesEntry", label=3)
    method = file.service.add(name="S").method.add(name="Do")
    method.input_type = method.output_type = ".a.M"
    schema = Schema(FileDescriptorSet(file=[file]))
    told = schema.decode("/a.S/Do", "client", field(1, field(2, b"v") + field(5, b"k")))
    assert told.value == {"names": [{"value": "v", "key": "k"}]}
