"""What is told of a message is in proportion to its bytes, whatever they are."""

import json
from collections.abc import Callable

import pytest

from mitm.messages import Schema
from mitm.messages.room import LEFT_OUT, Room
from mitm.messages.schema import Decoded
from tests.messages import everything
from tests.messages.everything import METHODS, THING, decoded
from tests.messages.guessed import field

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
