"""Who is at which exercise, and who is stuck: by what learners choose to send. Kept in memory."""

import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

# Minutes are what a trainer waits before going to somebody; and tries, of which a learner who has
# understood needs a few.
STUCK_SECONDS = 300.0
STUCK_TRIES = 8

# A room, and what is to be learned in it. More would be somebody else's doing.
SEATS = 100
EXERCISES = 60

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
_Exercise = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9-]+\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
State = Literal["open", "red", "green"]


class Report(msgspec.Struct, frozen=True):
    """What a learner sends of one exercise.

    Attributes:
        seat: what the learner is to be called by.
        exercise: its name.
        state: `open` before the first try; then what the last one came to.
        tries: how many there were.
        hints: how many were taken.
    """

    seat: _Name
    exercise: _Exercise
    state: State
    tries: _Count = 0
    hints: _Count = 0


class Full(Exception):  # noqa: N818
    """There are more seats or exercises than a room has."""


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """A seat at an exercise.

    Attributes:
        minutes: since something has changed there.
        stuck: whether a word of the trainer's might help.
    """

    exercise: str
    state: State
    tries: int
    hints: int
    minutes: int
    stuck: bool = False


class Row(msgspec.Struct, frozen=True):
    """A seat."""

    seat: str
    cells: tuple[Cell, ...]


class Grid(msgspec.Struct, frozen=True, tag_field="kind", tag="grid", kw_only=True):
    """All of them: seats in the order in which they have come, exercises by name."""

    part: str = "class"
    exercises: tuple[str, ...]
    rows: tuple[Row, ...]


class _Kept(msgspec.Struct):
    report: Report
    changed: float


class Classroom:
    """Keeps the latest report of each seat and exercise.

    Args:
        clock: seconds, from whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seats: dict[str, dict[str, _Kept]] = {}
        self._current: dict[str, str] = {}  # the exercise that each seat was last heard of at

    def take(self, report: Report) -> None:
        """Take a report.

        Raises:
            Full: there is no room for it.
        """
        seat = self._seats.get(report.seat, {})
        if not seat and len(self._seats) >= SEATS:
            raise Full(f"there are {SEATS} seats already")
        known = {name for kept in self._seats.values() for name in kept}
        if report.exercise not in known and len(known) >= EXERCISES:
            raise Full(f"there are {EXERCISES} exercises already")
        kept = seat.get(report.exercise)
        # Another try is a change of the learner's; that it is red again is none of the exercise's.
        changed = kept.changed if kept and kept.report.state == report.state else self._clock()
        seat[report.exercise] = _Kept(report, changed)
        self._seats[report.seat] = seat
        self._current[report.seat] = report.exercise

    def grid(self) -> Grid:
        """Where everybody is now."""
        exercises = sorted({name for kept in self._seats.values() for name in kept})
        return Grid(
            exercises=tuple(exercises),
            rows=tuple(
                Row(seat, tuple(self._cell(seat, kept[name]) for name in exercises if name in kept))
                for seat, kept in self._seats.items()
            ),
        )

    def _cell(self, seat: str, kept: _Kept) -> Cell:
        report = kept.report
        waited = self._clock() - kept.changed
        stuck = (
            report.state != "green"
            and self._current[seat] == report.exercise
            and (waited >= STUCK_SECONDS or report.tries >= STUCK_TRIES)
        )
        return Cell(
            report.exercise, report.state, report.tries, report.hints, int(waited // 60), stuck
        )
