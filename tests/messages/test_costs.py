"""What is told of a message is in proportion to its bytes, whatever they are."""

import json
from collections.abc import Callable
from unittest import mock

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from mitm.messages import Schema
from mitm.messages.room import LEFT_OUT, NOT_READ, Room
from mitm.messages.schema import Decoded
from tests.messages import everything
from tests.messages.everything import (
    METHODS,
    OLD_THING,
    THING,
    as_json,
    decoded,
    messages,
    new,
)
from tests.messages.guessed import field, varint

_EMPTY = "x/google.protobuf.Empty"


def _any(content: bytes, url: str = "x/google.protobuf.Any") -> bytes:
    return field(1, url.encode()) + field(2, content)


def _nested_any(size: int) -> bytes:
    data = _any(b"", _EMPTY)
    while len(data) < min(size, 3000):
        data = _any(data)
    return field(67, data) + (size // len(data)) * field(68, data)


def _nested_texts(size: int) -> bytes:
    """Texts that are messages of such texts as well."""
    data = size * b"a"
    for _ in range(25):
        # A length of three bytes that are a text in UTF-8: U+00xx and a letter.
        length = len(data)
        padded = (-length) % 2**14 + 0x20 * 128 + 0x42
        data = field(1, data + (padded % 2**14) * b"a")
    return data


# Messages that mean much more than they are long, at about so many bytes.
_GROWING: dict[str, Callable[[int], bytes]] = {
    "times": lambda size: size // 3 * field(69, b""),
    "messages": lambda size: size // 3 * field(22, b""),
    "enums": lambda size: field(23, (size // 10) * b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    "names": lambda size: size // 5 * field(22, b"\x90\x03\x01"),
    "control characters": lambda size: field(14, bytes(size)),
    "bytes": lambda size: field(15, bytes(size)),
    "any in any": _nested_any,
    "entries": lambda size: size // 6 * field(30, b""),
    "no text": lambda size: size // 4 * field(21, b"\xff"),
    "no messages": lambda size: size // 4 * field(22, b"\xff"),
    "unknown": lambda size: size // 3 * b"\xc0\x0c\x01",
}


def _json(told: Decoded) -> int:
    return len(json.dumps(told.value, ensure_ascii=False))


@pytest.mark.parametrize("grown", _GROWING)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_told_grows_as_the_bytes_do(grown: str, known: bool) -> None:
    def told(size: int) -> int:
        data = _GROWING[grown](size)
        return _json(decoded(THING, data) if known else Schema().decode("/a.B/C", "client", data))

    small, large = told(20_000), told(80_000)
    assert large <= 5 * small
    assert large <= 20 * 80_000


def test_texts_that_are_messages_are_not_told_over_and_over() -> None:
    data = _nested_texts(1_000)
    told = Schema().decode("/a.B/C", "client", data)
    assert told.value
    assert _json(told) <= 33 * len(data)
    small = Schema().decode("/a.B/C", "client", data, Room(10_000))
    assert _json(small) <= 20_000


@pytest.mark.parametrize("grown", _GROWING)
@pytest.mark.parametrize("known", [True, False])
def test_there_is_a_limit_to_what_is_told(grown: str, known: bool) -> None:
    room = Room(2_000)
    data = b"\x20\x05" + _GROWING[grown](30_000)
    schema, method = (everything.schema(), METHODS[THING]) if known else (Schema(), "/a.B/C")
    told = schema.decode(method, "client", data, room)
    assert _json(told) < 6_000
    assert room.left <= 0
    assert told.raw == data
    # What is left out is counted, and what stands before it is there.
    assert LEFT_OUT in json.dumps(told.value)
    assert told.value
    assert told.value["an_int64" if known else "4"] == ("5" if known else 5)


# Of those above, and of others, what has very many parts.
_MANY: dict[str, Callable[[int], bytes]] = {
    "packed": lambda size: field(20, size * b"\x05"),
    "long packed": lambda size: field(20, size // 10 * (9 * b"\xff" + b"\x01")),
    "doubles": lambda size: field(24, size // 8 * b"\0\0\0\0\0\0\xf8\x3f"),
    "floats": lambda size: field(25, size // 4 * b"\x01\x02\x03\x3f"),
    "numbers": lambda size: size // 3 * b"\xa0\x01\x07",
    "one number": lambda size: size // 2 * b"\x18\x07",
    "small messages": lambda size: size // 5 * field(22, b"\x18\x07"),
    "texts": lambda size: size // 6 * field(21, b"abc"),
    "parts": lambda size: size // 5 * field(17, b"\x18\x07"),
    "one of two": lambda size: size // 6 * b"\xc8\x02\x01\xc2\x02\x00",
    "entries of messages": lambda size: size // 9 * field(31, b"\x08\x05\x12\x02\x18\x07"),
    "groups": lambda size: size // 4 * b"\xa3\x01\xa4\x01",
    "a long group": lambda size: b"\xa3\x01" + size // 2 * b"\x18\x07" + b"\xa4\x01",
    "groups in groups": lambda size: size // 4 * b"\xa3\x01" + size // 4 * b"\xa4\x01",
    "unknown texts": lambda size: size // 6 * field(200, b"abc"),
    "unknown numbers": lambda size: b"".join(
        varint((1_000 + each) << 3) + b"\x01" for each in range(size // 5)
    ),
    "values": lambda size: field(65, size // 4 * field(1, b"\x20\x01")),
    "struct": lambda size: field(63, size // 9 * field(1, field(1, b"k") + field(2, b"\x20\x01"))),
    "mask": lambda size: field(62, size // 5 * field(1, b"a_b")),
    "deep": lambda size: size // 200 * field(22, _deep(60)),
    "one deep": lambda size: _deep(90, size // 2 * b"\x18\x07"),
    **{name: _GROWING[name] for name in _GROWING if name not in ("control characters", "bytes")},
}


def _deep(levels: int, data: bytes = b"\x18\x07") -> bytes:
    for _ in range(levels):
        data = field(17, data)
    return data


@pytest.mark.parametrize("many", _MANY)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_done_for_a_message_has_an_end(many: str, known: bool) -> None:
    """And what is not done is told."""
    data = b"\x20\x05" + _MANY[many](1_000_000)
    schema, method = (everything.schema(), METHODS[THING]) if known else (Schema(), "/a.B/C")
    room = Room()
    told = schema.decode(method, "client", data, room)
    # What is begun is ended.
    assert room.steps > -3_000
    if told.value is None or told.raw is None:
        # It is none for those who guess, or they show all of it as bytes.
        assert not known
        return
    assert told.raw == data
    assert NOT_READ in json.dumps(told.value) or LEFT_OUT in json.dumps(told.value)
    assert told.value["an_int64" if known else "4"] == ("5" if known else 5)
    # Whoever looks again sees the same.
    assert schema.decode(method, "client", data).value == told.value


def test_what_is_not_looked_at_is_told_by_its_bytes() -> None:
    user = field(22, b"\x18\x07")
    told = decoded(THING, b"\x20\x05" + 100_000 * user)
    assert told.value
    assert isinstance(told.value["things"], list)
    *things, last = told.value["things"]
    assert things == len(things) * [{"an_int32": 7}]
    assert last in ({"an_int32": 7}, {NOT_READ: 2})
    assert told.value.keys() == {"an_int64", "things", NOT_READ}
    assert told.value[NOT_READ] == (100_000 - len(things) - 1) * len(user)
    assert len(things) > 1_000
    # The twin: of an ordinary message nothing is left out.
    told = decoded(THING, b"\x20\x05" + 1_000 * user)
    assert told.value == {"an_int64": "5", "things": 1_000 * [{"an_int32": 7}]}
    assert told.raw is None


def test_what_stands_before_very_many_fields_is_read() -> None:
    before = new(THING, an_int64=5, thing=new(THING, a_string="first", things=[new(THING)]))
    unknown = field(200, b"abc")
    for many in (field(22, b"\x18\x07"), field(21, b"abc"), unknown, field(17, b"\x18\x07")):
        told = decoded(THING, before.SerializeToString() + 100_000 * many)
        assert told.value
        assert told.value["an_int64"] == "5"
        thing = told.value["thing"]
        if many.startswith(b"\x8a\x01"):  # parts of it, which are one message
            assert isinstance(thing, dict)
            assert thing["a_string"] == "first"
        else:
            assert thing == {"a_string": "first", "things": [{}]}


def test_what_is_not_looked_at_of_a_message_of_another_type_is_told_as_well() -> None:
    data = 100_000 * field(200, b"abc")
    told = decoded(THING, data)
    assert told.source == "guess"
    assert told.raw == data
    assert told.value
    texts = told.value["200"]
    assert isinstance(texts, list)
    assert texts[:1_000] == 1_000 * ["abc"]
    assert NOT_READ in told.value


@given(st.one_of(messages(THING), messages(OLD_THING)), st.integers(1, 150))
def test_whatever_is_left_out_is_told(message: Message, steps: int) -> None:
    data = message.SerializeToString()
    with mock.patch("mitm.messages.schema.MAX_STEPS", steps):
        told = decoded(message.DESCRIPTOR.full_name, data)
    if told.raw is None:
        assert told.value == as_json(message)
    else:
        assert told.raw == data
        assert LEFT_OUT in json.dumps(told.value)  # or NOT_READ, which begins so


def test_each_message_has_its_own_time() -> None:
    room = Room()
    for _ in range(5):
        assert decoded(THING, 1_000 * field(21, b"x"), room).value == {"strings": 1_000 * ["x"]}


def test_what_is_left_out_of_a_list_is_counted() -> None:
    for name, one, data in (
        ("strings", "some text", 1000 * field(21, b"some text")),
        ("numbers", 5, field(20, 1000 * b"\x05")),
    ):
        told = decoded(THING, data, Room(1_000)).value
        assert told
        elements = told[name]
        assert isinstance(elements, list)
        assert all(each == one for each in elements[:-1])
        assert elements[-1] == {LEFT_OUT: 1001 - len(elements)}
    told = decoded(THING, field(14, 1000 * b"x"), Room(600)).value
    assert told
    cut = told["a_string"]
    assert isinstance(cut, dict)
    assert len(cut["string"]) + cut[LEFT_OUT] == 1000
    # The twin: what is not long is whole.
    assert decoded(THING, 10 * field(21, b"x"), Room(1_000)).value == {"strings": 10 * ["x"]}
