"""Small messages that are read in one go: what is said of them is what the other reader says."""

from typing import Any
from unittest import mock

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from mitm import content
from mitm.descriptors import load_descriptor_set
from mitm.messages import Schema, typed
from mitm.messages.flat import read_flat
from mitm.messages.room import Room
from mitm.messages.schema import Decoded
from mitm.messages.shape import shape_of
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

# A message now and then has just not room enough.
_LEFT = st.one_of(st.just(2**20), st.integers(0, 300))


def _both(known: Schema, method: str, data: bytes, left: int) -> list[tuple[Decoded, int]]:
    """What is told, and the room that is left: as it is, and by the reader of all messages."""
    told = []
    for reader in (read_flat, lambda *_: None):
        room = Room(left)
        with mock.patch.object(typed, "read_flat", reader):
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


@pytest.mark.parametrize(
    ("fields", "is_flat"),
    [
        ({}, True),
        ({"an_int64": 1, "a_string": "Nicolas", "some_bytes": b"x"}, True),
        ({"a_double": 1.5, "a_float": 0.1, "a_bool": True, "an_int32": -1}, True),
        ({"a_string": 400 * "Nicolas"}, False),
        ({"thing": {"an_int32": 1}}, False),
        ({"numbers": [1, 2]}, False),
        ({"an_int32": 1, "maybe": 1}, False),  # of a key of two bytes
    ],
)
def test_it_is_small_messages_of_scalars(fields: dict[str, Any], is_flat: bool) -> None:
    thing = shape_of(pool().FindMessageTypeByName(THING))
    data = new(THING, **fields).SerializeToString()
    assert (read_flat(thing, data, Room()) is not None) == is_flat


def test_nothing_is_counted_of_what_it_leaves_to_others() -> None:
    thing = shape_of(pool().FindMessageTypeByName(THING))
    for data in (b"\x18\x01\x18\x02", b"\x18\x81\x00", field(14, b"\xff"), b"\x18"):
        room = Room()
        before = (room.left, room.steps)
        assert read_flat(thing, data, room) is None
        assert (room.left, room.steps) == before
