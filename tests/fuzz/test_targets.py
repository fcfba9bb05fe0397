"""The fuzzer's targets take what is in order, and tell a promise that is broken."""

import random
from collections.abc import Iterator

import pytest

from mitm import events
from mitm.events import Event, Message
from mitm.wire import Http2Parser
from tests.fuzz import targets
from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS
from tests.wire.test_fuzz import _START as START


def test_every_target_has_its_turn() -> None:
    assert set(NAMES) == TARGETS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_of_a_target_and_what_is_near_them_hold(name: str) -> None:
    target = TARGETS[name]
    rng = random.Random(1)  # noqa: S311
    for seed in target.seeds():
        target.run(seed)
        changed = bytearray(seed)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        target.run(bytes(changed))
    target.run(b"")


def _events_of(data: bytes) -> list[Event]:
    return targets._seen("h2", [*START, *targets._in_frames(data[1:])])


def test_frames_that_are_made_of_bytes_are_calls_with_messages() -> None:
    seeds = [seed for seed in TARGETS["http2"].seeds() if seed[:1] == b"\x80"]
    seen = [event for seed in seeds for event in _events_of(seed)]
    assert not any(isinstance(event, events.ParseFailed) for event in seen)
    assert {event.direction for event in seen if isinstance(event, Message)} == {
        "client",
        "server",
    }


def test_a_parser_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> Iterator[Event]:
        raise IndexError
        yield

    monkeypatch.setattr(Http2Parser, "feed", raises)
    with pytest.raises(AssertionError, match="unforeseen: IndexError"):
        TARGETS["http2"].run(next(TARGETS["http2"].seeds()))


def test_a_console_that_prints_what_it_is_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitm.capture.wording.plain", lambda text: text)
    request = bytes([0, 1, 2, 4, 7, 21])
    with pytest.raises(AssertionError, match="a line that is obeyed"):
        TARGETS["http2"].run(b"\x80" + bytes([0, 0x81, 4, 1, len(request)]) + request)
