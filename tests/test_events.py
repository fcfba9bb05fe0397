"""What reads an event file may rely on."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import events
from mitm.events import AnyEvent, Event

_KINDS: tuple[type[Event], ...] = AnyEvent.__args__
_decode = msgspec.json.Decoder(AnyEvent).decode


def test_each_kind_of_event_goes_by_a_name_of_its_own() -> None:
    names = [kind.__struct_config__.tag for kind in _KINDS]
    assert len(set(names)) == len(_KINDS)
    for name in names:
        assert isinstance(name, str)
        assert name == name.lower()
        assert " " not in name


def test_every_kind_of_event_is_one_of_any_event() -> None:
    defined = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }
    assert defined == set(_KINDS)


def test_an_event_says_its_name_and_leaves_out_what_goes_without_saying() -> None:
    alert = events.Alert(time=1.5, by="client", name="unknown_ca", number=48)
    assert json.loads(msgspec.json.encode(alert)) == {
        "event": "alert",
        "time": 1.5,
        "by": "client",
        "name": "unknown_ca",
        "number": 48,
    }


def test_an_event_is_not_changed_once_it_has_happened() -> None:
    alert = events.Alert(time=1.5, by="client", name="unknown_ca", number=48)
    with pytest.raises(AttributeError):
        alert.number = 0  # type: ignore[misc]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"event": "made-up", "time": 0}',
        b'{"event": "alert", "time": 0}',
        b'{"event": "alert", "time": 0, "by": "nobody", "name": "x", "number": 1}',
        b'{"event": "closed", "time": 0, "by": "client", "how": "softly", "phase": "hello"}',
    ],
)
def test_what_is_no_event_is_not_taken_for_one(line: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        _decode(line)


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), _text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_text, inner, max_size=3)),
    max_leaves=8,
)


@given(
    st.floats(0, 2**40),
    st.integers(0, 2**31),
    st.dictionaries(_text, _json, max_size=4),
    st.one_of(st.none(), st.binary(max_size=40)),
)
def test_a_message_comes_back_as_it_was_whatever_it_says(
    time: float, stream: int, value: dict[str, object], raw: bytes | None
) -> None:
    message = events.Message(
        time=time,
        connection=1,
        direction="server",
        stream=stream,
        method="/a.B/C",
        type="a.D",
        size=1,
        value=value,
        raw=raw,
    )
    assert _decode(msgspec.json.encode(message)) == message


@given(st.lists(st.tuples(_text, _text), max_size=5))
def test_headers_come_back_in_order_with_those_of_the_same_name(
    headers: list[tuple[str, str]],
) -> None:
    event = events.Headers(
        time=0.0,
        direction="client",
        stream=1,
        kind="request",
        method="/a.B/C",
        headers=tuple(headers),
    )
    assert _decode(msgspec.json.encode(event)) == event
