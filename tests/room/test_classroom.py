"""Who is stuck, by what learners send."""

import pytest

from mitm.room.classroom import (
    EXERCISES,
    SEATS,
    STUCK_SECONDS,
    STUCK_TRIES,
    Classroom,
    Full,
    Report,
)


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def stuck(classroom: Classroom) -> list[tuple[str, str]]:
    grid = classroom.grid()
    return [(row.seat, cell.exercise) for row in grid.rows for cell in row.cells if cell.stuck]


def test_whoever_waits_for_long_is_stuck_and_whoever_is_green_is_not() -> None:
    clock = Clock()
    classroom = Classroom(clock)
    classroom.take(Report("Ada", "one", "green", 1))
    classroom.take(Report("Ben", "one", "red", 1))
    classroom.take(Report("Cat", "one", "open"))
    assert stuck(classroom) == []
    clock.now = STUCK_SECONDS
    assert stuck(classroom) == [("Ben", "one"), ("Cat", "one")]


def test_whoever_tries_again_and_again_is_stuck() -> None:
    classroom = Classroom(Clock())
    classroom.take(Report("Ada", "one", "red", STUCK_TRIES - 1))
    assert stuck(classroom) == []
    classroom.take(Report("Ada", "one", "red", STUCK_TRIES))
    assert stuck(classroom) == [("Ada", "one")]
    classroom.take(Report("Ada", "one", "green", STUCK_TRIES + 1))
    assert stuck(classroom) == []


def test_that_it_is_red_again_is_no_change() -> None:
    clock = Clock()
    classroom = Classroom(clock)
    classroom.take(Report("Ada", "one", "red", 1))
    clock.now = STUCK_SECONDS - 1
    classroom.take(Report("Ada", "one", "red", 2))
    clock.now = STUCK_SECONDS
    assert stuck(classroom) == [("Ada", "one")]


def test_what_somebody_has_left_for_another_exercise_holds_up_nobody() -> None:
    clock = Clock()
    classroom = Classroom(clock)
    classroom.take(Report("Ada", "one", "red", STUCK_TRIES))
    clock.now = STUCK_SECONDS
    classroom.take(Report("Ada", "two", "open"))
    assert stuck(classroom) == []


def test_seats_stand_in_the_order_in_which_they_came_whatever_they_have_done() -> None:
    classroom = Classroom(Clock())
    classroom.take(Report("Zoe", "two", "open"))
    classroom.take(Report("Ada", "one", "green", 1))
    classroom.take(Report("Ada", "two", "green", 1))
    grid = classroom.grid()
    assert [row.seat for row in grid.rows] == ["Zoe", "Ada"]
    assert grid.exercises == ("one", "two")


def test_there_is_room_for_so_many() -> None:
    classroom = Classroom(Clock())
    for number in range(SEATS):
        classroom.take(Report(str(number), "one", "open"))
    with pytest.raises(Full):
        classroom.take(Report("one more", "one", "open"))
    classroom.take(Report("0", "one", "green", 1))
    for number in range(EXERCISES - 1):
        classroom.take(Report("0", str(number), "open"))
    with pytest.raises(Full):
        classroom.take(Report("0", "one-more", "open"))
