"""A seat: what becomes of a playing that is reset, or goes wrong."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitm.errors import UserError
from mitm.events import Connected, Event
from mitm.lab.clients import Client, load_client
from mitm.lab.scenario import Scenario, load_scenario
from mitm.room import seat as module
from mitm.room.seat import Busy, Seat
from mitm.room.turns import Turns

LATE = Connected(time=1.0, connection=1, client="127.0.0.1:1")


def kinds(seat: Seat) -> list[str]:
    return [json.loads(record)["kind"] for _, record in seat.feed.after(0)]


def last(seat: Seat) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(seat.feed.after(0)[-1][1])
    return record


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Every playing lasts until it is ended, or raises what stands in the list."""
    raised: list[Exception] = []

    async def play(
        scenario: Scenario, client: Client, *, on_event: Callable[[Event], None], **more: Any
    ) -> None:
        on_event(LATE)
        if raised:
            raise raised[0]
        try:
            await asyncio.Event().wait()
        finally:
            # What ends with it is told as well.
            on_event(LATE)

    async def ready(client: Client, *, build: bool) -> Client:
        assert not build
        return client

    monkeypatch.setattr(module, "play", play)
    monkeypatch.setattr(module, "ready", ready)
    return raised


INSECURE, PYTHON = load_scenario("insecure"), load_client("python")


@pytest.mark.usefixtures("playing")
def test_what_was_reset_tells_nothing_any_more(tmp_path: Path) -> None:
    async def play() -> None:
        seat = Seat(1, "token", tmp_path, Turns(1))
        seat.play(INSECURE, PYTHON)
        await until(lambda: kinds(seat) == ["begun", "connected"])
        seat.reset()
        assert kinds(seat) == ["cleared"]
        assert not seat.playing
        # The next one waits until the first has ended, and is not mixed up with it.
        seat.play(INSECURE, PYTHON)
        await until(lambda: "connected" in kinds(seat))
        assert kinds(seat)[0] == "begun"
        assert kinds(seat).count("connected") == 1
        await seat.close()

    asyncio.run(play())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("playing")
def test_one_at_a_time_and_others_wait_for_their_turn(tmp_path: Path) -> None:
    async def play() -> None:
        turns = Turns(1)
        first, second = (Seat(n, f"{n}", _made(tmp_path / f"{n}"), turns) for n in (1, 2))
        first.play(INSECURE, PYTHON)
        with pytest.raises(Busy):
            first.play(INSECURE, PYTHON)
        await until(lambda: "connected" in kinds(first))
        second.play(INSECURE, PYTHON)
        await until(lambda: kinds(second) == ["begun", "waiting"])
        assert last(second)["before"] == 0
        first.reset()
        await until(lambda: "connected" in kinds(second))
        await asyncio.gather(first.close(), second.close())

    asyncio.run(play())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("no such program\x1b"), "no such program\\x1b"),
        (RuntimeError("Authorization: Bearer swordfish-swordfish"), "unforeseen: RuntimeError"),
    ],
)
def test_what_goes_wrong_is_told_and_the_seat_goes_on(
    tmp_path: Path, playing: list[Exception], error: Exception, told: str
) -> None:
    async def play() -> None:
        seat = Seat(1, "token", tmp_path, Turns(1))
        playing.append(error)
        seat.play(INSECURE, PYTHON)
        await until(lambda: not seat.playing)
        assert last(seat)["kind"] == "failed"
        assert told in last(seat)["reason"]
        assert "swordfish" not in last(seat)["reason"]
        playing.clear()
        seat.play(INSECURE, PYTHON)
        await until(lambda: "connected" in kinds(seat))
        await seat.close()

    asyncio.run(play())
