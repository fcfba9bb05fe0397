"""Small messages that are read in one go: what is said of them is what the other reader says."""

from typing import Any
from unittest import mock

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from mitm import content
from mitm.descriptors import load_descriptor_set
from mitm.messages import Schema, typed
from mitm.messages.plain import read_plain
from mitm.messages.room import Room
from mitm.messages.schema import Decoded
from mitm.messages.shape import shape_of
from mitm.messages.wire_format import MAX_DEPTH
from tests.messages.everything import (
    METHODS,
    OLD_THING,
    THING,
    flat_messages,
    messages,
    new,
    pool,
    schema,
)
from tests.messages.guessed import field, varint

USERS = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
_TYPES = [
    *((schema(), method) for method in METHODS.values()),
    *((USERS, f"/users.v1.UserService/{name}") for name in ("GetUser", "Chat", "ListUsers")),
]

_THING = shape_of(pool().FindMessageTypeByName(THING))

# A message now and then has just not room enough.
_LEFT = st.one_of(st.just(2**20), st.integers(0, 300))


def _both(known: Schema, method: str, data: bytes, left: int) -> list[tuple[Decoded, int]]:
    """What is told, and the room that is left: as it is, and by the reader of all messages."""
    told = []
    for reader in (read_plain, lambda *_: None):
        room = Room(left)
        with mock.patch.object(typed, "read_plain", reader):
            told.append((known.decode(method, "server", data, room), room.left))
    return told


@given(
    st.sampled_from([THING, OLD_THING]).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(flat_messages(name), messages(name)))
    ),
    st.data(),
    _LEFT,
)
def test_messages_and_what_went_wrong_on_their_way_are_read_alike(
    one: tuple[str, Message], data: st.DataObject, left: int
) -> None:
    name, message = one
    wire = bytearray(message.SerializePartialToString())
    for _ in range(data.draw(st.integers(0, 2)) if wire else 0):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    quick, whole = _both(schema(), METHODS[name], bytes(wire), left)
    assert quick == whole
    # 1 and 1.0, True and 1 are equal in Python, and not in JSON.
    assert repr(quick) == repr(whole)


# Keys of one byte, of what a small message is made of.
_scalars = st.one_of(
    st.builds(lambda n, v: varint(n << 3) + varint(v), st.integers(1, 17), st.integers(0, 2**64)),
    st.builds(lambda n, v: varint(n << 3) + bytes([v]), st.integers(1, 15), st.integers(0, 127)),
    st.builds(field, st.integers(1, 17), st.one_of(st.binary(), st.text().map(str.encode))),
    st.builds(lambda n, v: varint(n << 3 | 1) + v, st.integers(1, 17), st.binary(max_size=8)),
    st.builds(lambda n, v: varint(n << 3 | 5) + v, st.integers(1, 17), st.binary(max_size=4)),
)


@given(
    st.sampled_from(_TYPES),
    st.one_of(st.binary(max_size=40), st.lists(_scalars, max_size=5).map(b"".join)),
    _LEFT,
)
def test_arbitrary_bytes_are_read_alike(of: tuple[Schema, str], data: bytes, left: int) -> None:
    quick, whole = _both(*of, data, left)
    assert repr(quick) == repr(whole)


_TIME = "2023-11-14T22:13:20.000005Z"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"an_int64": "1", "a_string": "Nicolas", "some_bytes": "eA=="},
        {"a_double": 1.5, "a_float": 0.1, "a_bool": True, "an_int32": -1, "colour": "BLUE"},
        {"a_string": 200 * "Nicolas", "maybe": 0, "text": ""},
        {"thing": {"an_int32": 1, "thing": {}}, "things": [{}, {"a_bool": True}]},
        {"numbers": [1, -1, 300], "floats": [0.5, 1.5], "doubles": [0.1], "colours": ["BELOW"]},
        {"strings": ["a", ""], "blobs": ["", "eA=="]},
        {"names": {"k": "v", "": ""}, "by_bool": {"true": "RED"}, "by_number": {"-1": {}}},
        {"at": _TIME, "ats": [_TIME, _TIME], "times": {"k": _TIME}},
        {"wrapped_int64": "5", "lasts": "1.500s", "mask": "aB,c", "empty": {}},
        {"struct": {"a": [1.5, None, {"b": True}]}, "list": ["x"], "value": 1.0},
    ],
)
def test_small_messages_as_encoders_write_them_are_plain(value: dict[str, Any]) -> None:
    data = ParseDict(value, new(THING), descriptor_pool=pool()).SerializeToString()
    assert read_plain(_THING, data, Room()) == value


@pytest.mark.parametrize(
    "data",
    [
        field(14, 2_048 * b"x"),
        field(200, b"x"),  # no field of it
        b"\x20\x01\x18\x01",  # in another order
        b"\x18\x01\x18\x02",  # more than once
        b"\xc2\x02\x00\xc8\x02\x01",  # both of a oneof
        b"\xa0\x01\x05" + field(20, b"\x05"),  # packed and not
        b"\x18\x81\x00",  # longer than need be
        b"\x98\x00\x01",
        b"\x68\x02",  # a bool of 2
        field(14, b"\xff"),
        field(30, field(1, b"k")),  # without a value
        2 * field(30, field(1, b"k") + field(2, b"v")),  # one key twice
        field(67, field(1, b"x/a.B") + field(2, b"\x08\x05")),  # an Any
        field(60, b"\x10" + varint(2**40)),  # no time
        field(17, b"\x18"),
        field(15, b"xy")[:-1],
        b"\x18",
        b"\x0d\x00\x00",
    ],
)
def test_what_is_odd_is_left_to_the_other_reader(data: bytes) -> None:
    room = Room()
    assert read_plain(_THING, data, room) is None
    assert room.left == Room().left


def test_nothing_is_read_for_which_there_is_no_room() -> None:
    data = new(THING, an_int64=1, a_string="Nicolas").SerializeToString()
    enough = Room()
    assert read_plain(_THING, data, enough)
    cost = Room().left - enough.left
    assert read_plain(_THING, data, Room(cost + 1))
    room = Room(cost)
    assert read_plain(_THING, data, room) is None
    assert room.left == cost
    tired = Room()
    tired.steps = len(data)
    assert read_plain(_THING, data, tired) is None


def test_what_stands_deeper_than_protocol_buffers_look_is_not_read() -> None:
    inner = field(17, field(17, b""))
    assert read_plain(_THING, inner, Room(), MAX_DEPTH - 2)
    assert read_plain(_THING, inner, Room(), MAX_DEPTH - 1) is None
