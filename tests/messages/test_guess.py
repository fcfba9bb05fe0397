"""Messages without a schema: what is recognised, and that no reading is untrue of the bytes."""

import base64
import json
import struct
import time

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from mitm.messages.guess import MAX_DEPTH, MAX_PACKED, guess
from mitm.messages.room import NOT_READ
from tests.messages.guessed import encoded, field, varint

# Fields of which all are read, and of which only the first are.
_SOME, _VERY_MANY = 2_000, 100_000

_UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", {}),
        # The examples of the encoding guide of Protocol Buffers.
        (b"\x08\x96\x01", {"1": 150}),
        (b"\x12\x07testing", {"2": "testing"}),
        (b"\x1a\x03\x08\x96\x01", {"3": {"1": 150}}),
        (
            b"\x32\x06\x03\x8e\x02\x9e\xa7\x05",
            {"6": {"bytes": "A44CnqcF", "varints": [3, 270, 86942]}},
        ),
        # int64 -2, and the largest number that is exact in JSON
        (
            b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            {"1": {"varint": "18446744073709551614", "signed": "-2"}},
        ),
        (b"\x08" + varint(2**53 - 1), {"1": 9007199254740991}),
        (b"\x08" + varint(2**53), {"1": {"varint": "9007199254740992"}}),
        (
            b"\x09" + struct.pack("<d", 0.5),
            {"1": {"fixed64": "4602678819172646912", "double": 0.5}},
        ),
        (b"\x0d" + struct.pack("<f", 1.5), {"1": {"fixed32": 1069547520, "float": 1.5}}),
        # 7 as a float would be 9.8e-45, and nobody means that.
        (b"\x0d" + struct.pack("<L", 7), {"1": {"fixed32": 7}}),
        (b"\x0d" + struct.pack("<f", float("nan")), {"1": {"fixed32": 2143289344}}),
        (b"\x13\x08\x01\x14", {"2": {"group": {"1": 1}}}),
        (b"\x08\x01\x08\x02", {"1": [1, 2]}),
        (b"\x0a\x00", {"1": ""}),
        (field(1, "Jörg 👩‍👧\n".encode()), {"1": "Jörg 👩‍👧\n"}),
        (field(1, b"Hi"), {"1": "Hi"}),  # and a message with a 105 in its field 9
        (field(1, b"\xff\xfe\xfd\xfc"), {"1": {"bytes": "//79/A=="}}),
        # A text that is a message as well: both are told.
        (
            field(1, field(1, _UUID.encode())),
            {"1": {"string": f"\n${_UUID}", "message": {"1": _UUID}}},
        ),
        (
            field(4, struct.pack("<2d", 1.5, 2.5)),
            {
                "4": {
                    "bytes": "AAAAAAAA+D8AAAAAAAAEQA==",
                    "varints": [*6 * [0], 8184, *6 * [0], 4, 64],
                    "doubles": [1.5, 2.5],
                    "floats": [0.0, 1.9375, 0.0, 2.0625],
                }
            },
        ),
    ],
)
def test_a_field_is_read_as_what_it_most_likely_is(data: bytes, value: dict[str, object]) -> None:
    read, exact = guess(data)
    assert exact
    assert read == value


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a field without its value
        b"\x12\x7fshort",  # a length beyond the end
        b"\x12" + varint(2**63),
        b"\x00\x01",  # field number 0
        b"\x0b",  # a group that never ends
        b"\x0c",  # one that ends before it begins
        b"\x0b\x14",  # another group's end
        b"\x0e\x01",  # wire type 6
        b"\x08" + 10 * b"\xff" + b"\x01",  # a number of 11 bytes
        b"\x08" + 9 * b"\xff" + b"\x02",  # a number of 65 bits
        varint(2**32 | 8) + b"\x01",  # a field number beyond the largest
    ],
)
def test_what_is_no_message_is_not_read(data: bytes) -> None:
    assert guess(data) == (None, False)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x08\x81\x00", {"1": 1}),  # a number longer than need be
        (b"\x88\x00\x01", {"1": 1}),
        (b"\x0a\x81\x00a", {"1": "a"}),
        (b"\x08\x01\x10\x02\x08\x03", {"1": [1, 3], "2": 2}),  # an order that is not shown
        # The same in a group, which cannot be anything else.
        (b"\x0b\x08\x81\x00\x0c", {"1": {"group": {"1": 1}}}),
        (b"\x0b\x08\x01\x10\x02\x08\x03\x0c", {"1": {"group": {"1": [1, 3], "2": 2}}}),
    ],
)
def test_a_reading_that_leaves_something_out_says_so(data: bytes, value: object) -> None:
    assert guess(data) == (value, False)


@pytest.mark.parametrize(
    ("packed", "message", "readings"),
    [
        # Numbers of a byte each, and a message with a 1 in its field 1.
        (b"\x08\x01", {"1": 1}, {"varints": [8, 1]}),
        (b"\x08\x01\x10\x02", {"1": 1, "2": 2}, {"varints": [8, 1, 16, 2]}),
        (
            b"\x08\x80\x80\x40",  # the 2**20 of field 1, and a number of 4 bytes
            {"1": 2**20},
            {"floats": [4 + 2**-6 + 2**-18]},  # by IEEE 754
        ),
    ],
)
def test_packed_numbers_are_shown_beside_a_message_that_is_nothing_but_numbers(
    packed: bytes, message: object, readings: dict[str, object]
) -> None:
    read, exact = guess(field(4, packed))
    shown = {"bytes": base64.b64encode(packed).decode(), "message": message, **readings}
    assert (read, exact) == ({"4": shown}, True)


def test_packed_numbers_are_shown_beside_a_text_of_line_feeds_and_tabs() -> None:
    assert guess(field(4, b"\x0a\x09\x0d")) == (
        {"4": {"string": "\n\t\r", "varints": [10, 9, 13]}},
        True,
    )
    # The twin: a text that says something.
    assert guess(field(4, b"\x0a\x09Hi")) == ({"4": "\n\tHi"}, True)


def test_within_a_message_the_same_is_shown_as_bytes() -> None:
    """No encoder writes such messages, so that they are none; and nothing of them is lost."""
    inner = b"\x08\x81\x00"
    assert guess(field(1, inner)) == ({"1": {"bytes": base64.b64encode(inner).decode()}}, True)


@given(st.binary(max_size=300))
def test_whatever_is_shown_of_any_bytes_is_true_of_them(data: bytes) -> None:
    value, exact = guess(data)
    assert value is not None or not exact
    if value is not None:
        json.dumps(value, allow_nan=False)
        assert (encoded(value) == data) == exact


_numbers = st.integers(1, 2**29 - 1)
_fields = st.recursive(
    st.one_of(
        st.builds(lambda n, v: varint(n << 3) + varint(v), _numbers, st.integers(0, 2**64 - 1)),
        st.builds(lambda n, v: varint(n << 3 | 1) + v, _numbers, st.binary(min_size=8, max_size=8)),
        st.builds(lambda n, v: varint(n << 3 | 5) + v, _numbers, st.binary(min_size=4, max_size=4)),
        st.builds(field, _numbers, st.one_of(st.binary(max_size=30), st.text().map(str.encode))),
        st.builds(
            lambda n, v: field(n, b"".join(map(varint, v))),
            _numbers,
            st.lists(st.integers(0, 2**64 - 1), max_size=5),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda n, v: field(n, b"".join(v)), _numbers, st.lists(inner, max_size=4)),
        st.builds(
            lambda n, v: varint(n << 3 | 3) + b"".join(v) + varint(n << 3 | 4),
            _numbers,
            st.lists(inner, max_size=4),
        ),
    ),
    max_leaves=12,
)


@given(st.lists(_fields, max_size=6))
def test_every_message_is_read_and_comes_back_byte_for_byte_unless_it_says_otherwise(
    fields: list[bytes],
) -> None:
    data = b"".join(fields)
    value, exact = guess(data)
    assert value is not None
    json.dumps(value, allow_nan=False)
    assert (encoded(value) == data) == exact


def test_the_messages_of_a_real_encoder_come_back_byte_for_byte() -> None:
    described = struct_pb2.DESCRIPTOR.serialized_pb
    assert FileDescriptorProto.FromString(described).name == "google/protobuf/struct.proto"
    value, exact = guess(described)
    assert exact
    assert value
    assert encoded(value) == described
    assert value["1"] == "google/protobuf/struct.proto"
    assert isinstance(value["4"], list)
    assert value["4"][0]["1"] == "Struct"


def test_messages_as_deep_as_they_are_looked_into_cost_little() -> None:
    data = b"\x08\x01\x10\x80\x01"
    for _ in range(10 * MAX_DEPTH):
        data = field(3, data)
    started = time.process_time()
    value, exact = guess(data)
    assert exact
    assert value
    assert encoded(value) == data
    groups = 10_000 * b"\x0b" + 10_000 * b"\x0c"
    assert guess(groups) == (None, False)
    assert time.process_time() - started < 1


def test_of_a_message_of_very_many_fields_the_first_are_read() -> None:
    read, exact = guess(_SOME * b"\x08\x01")
    assert exact
    assert read == {"1": _SOME * [1]}
    # What is no message is none, as far as it is looked at.
    assert guess(_SOME * b"\x08\x01" + b"\x00") == (None, False)
    for end in (b"\x10\x02", b"\x00"):
        data = _VERY_MANY * b"\x08\x01" + end
        read, exact = guess(data)
        assert not exact
        assert read
        shown = read["1"]
        assert isinstance(shown, list)
        assert _SOME < len(shown) < _VERY_MANY
        assert read == {"1": len(shown) * [1], NOT_READ: len(data) - 2 * len(shown)}


def test_a_long_list_within_a_message_is_cut_as_well() -> None:
    user = field(1, b"\x08\x96\x01\x12\x01x")
    read, exact = guess(field(2, _VERY_MANY * user) + b"\x18\x01")
    assert not exact
    assert read
    assert isinstance(read["2"], dict)
    assert read.keys() == {"2", NOT_READ}
    assert read[NOT_READ] == 2
    *shown, last = read["2"]["1"]
    assert shown == len(shown) * [{"1": 150, "2": "x"}]
    # The last one is read as far as it goes.
    left_out = last.get(NOT_READ, 0) + read["2"][NOT_READ]
    assert 0 < _VERY_MANY * len(user) - left_out - len(shown) * len(user) <= len(user)


def test_very_many_wrong_tries_are_given_up() -> None:
    # Each is no message before its end has been seen.
    wrong = 30 * b"\x08\x01" + b"\x00"
    read, exact = guess(100_000 * field(1, wrong))
    assert not exact
    assert read
    assert isinstance(read["1"], list)
    assert read["1"][0]["bytes"] == base64.b64encode(wrong).decode()
    assert all(isinstance(each, dict) and "bytes" in each for each in read["1"])
    size = len(field(1, wrong))
    assert read[NOT_READ] == (100_000 - len(read["1"])) * size
    assert read.keys() == {"1", NOT_READ}


_LONG = 65_536
_TEXTS = {
    "letters": b"a",
    "prose": b"\"The quick brown fox\", he said,\n\t'jumps' over the lazy dog.\r\n",
    "json": b'{"id": 1, "tags": ["a", "b"], "name": "J\\u00f6rg"},\n',
    "base64": base64.b64encode(bytes(range(0, 256, 5))),
    "numbers": b"1, 2, 34, 567,\n",
    "cjk": "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587\u3002".encode(),
    "german": "Gr\u00f6\u00dfe, \u00dcbermut, \u00d6l: 5 \u20ac. ".encode(),
    "emoji": "\U0001f469\u200d\U0001f467 ".encode(),
}


def _text(of: str, size: int = _LONG) -> bytes:
    return size // len(_TEXTS[of]) * _TEXTS[of]


@pytest.mark.parametrize("of", _TEXTS)
@pytest.mark.parametrize("levels", [0, 1, 3])
def test_a_long_text_is_a_text(of: str, levels: int) -> None:
    text = _text(of)
    data = field(2, text) + b"\x18\x05"
    for _ in range(levels):
        data = field(2, data) + b"\x18\x05"
    read, exact = guess(data)
    assert exact
    for _ in range(levels):
        assert isinstance(read, dict)
        assert read["3"] == 5
        read = read["2"]  # type: ignore[assignment]
    assert read == {"2": text.decode(), "3": 5}


def test_long_texts_are_texts_however_many_there_are() -> None:
    texts = [_text(of) for of in _TEXTS] + [_text("letters", 2**20)]
    read, exact = guess(b"".join(field(1, text) for text in texts))
    assert exact
    assert read == {"1": [text.decode() for text in texts]}


def test_of_a_long_text_that_is_a_message_as_well_its_beginning_is_shown_as_one() -> None:
    text = _LONG // 38 * field(1, _UUID.encode())
    read, exact = guess(field(1, text))
    assert exact  # as the text is
    assert isinstance(read, dict)
    both = read["1"]
    assert isinstance(both, dict)
    assert both["string"] == text.decode()
    message = both["message"]
    shown = len(message["1"])
    assert message == {"1": shown * [_UUID], NOT_READ: len(text) - 38 * shown}
    assert shown > 10
    # The twin: of a short one all is.
    text = 26 * field(1, _UUID.encode())
    assert guess(field(1, text)) == (
        {"1": {"string": text.decode(), "message": {"1": 26 * [_UUID]}}},
        True,
    )


@pytest.mark.parametrize(
    "data",
    [
        bytes(_LONG),
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + _LONG // 256 * bytes(range(256)),
        bytes(range(1, 100)) * (_LONG // 100),  # packed numbers
        struct.pack(f"<{_LONG // 4}f", *(each / 7 for each in range(_LONG // 4))),
        _text("letters") + b"\xff",
        "J\u00f6rg".encode("latin-1") * (_LONG // 4),
    ],
    ids=["zeros", "jpeg", "packed", "floats", "cut", "latin-1"],
)
def test_long_data_that_is_neither_is_shown_as_bytes(data: bytes) -> None:
    shown = {"bytes": base64.b64encode(data).decode()}
    assert guess(field(15, data) + b"\x08\x01") == ({"15": shown, "1": 1}, True)


def test_a_control_character_makes_it_no_text_if_it_comes_early() -> None:
    for control in ("\x00", "\x7f", "\x85", "\uffff"):
        early = f"{'xyz ' * 1_000}{control}{'xyz ' * 1_000}"
        read, exact = guess(field(1, early.encode()))
        assert exact
        assert read == {"1": {"bytes": base64.b64encode(early.encode()).decode()}}
        late = f"{'a' * 5_000}{control}"
        assert guess(field(1, late.encode())) == ({"1": late}, True)


def test_packed_numbers_are_not_looked_for_in_long_data() -> None:
    read, _ = guess(field(1, MAX_PACKED * b"\0"))
    assert isinstance(read, dict)
    assert isinstance(read["1"], dict)
    assert read["1"]["varints"] == MAX_PACKED * [0]
    read, _ = guess(field(1, (MAX_PACKED + 8) * b"\0"))
    assert isinstance(read, dict)
    assert isinstance(read["1"], dict)
    assert list(read["1"]) == ["bytes"]
