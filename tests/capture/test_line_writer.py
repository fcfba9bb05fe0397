"""Lines go out whole and in order, from a thread; what is too much to wait is counted and told."""

import threading

from mitm.capture import LineWriter
from tests.programs import LIMIT


class Taker:
    """Whoever takes what is written, once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.busy = threading.Event()
        self.taken = bytearray()

    def __call__(self, data: bytes) -> None:
        self.busy.set()
        assert self.may.wait(LIMIT)
        self.taken += data


def test_lines_that_nobody_takes_are_counted_and_told_in_their_place() -> None:
    taker = Taker()
    writer = LineWriter(taker, limit=100)
    for number in range(40):
        writer(f"line {number:2}\n")
    # Eight bytes each: twelve fit.
    assert writer.lost == 28
    taker.may.set()
    while writer.waiting:
        taker.busy.wait(0.01)
    writer("and on\n")
    assert writer.close()
    lines = taker.taken.decode().splitlines()
    assert lines[:12] == [f"line {number:2}" for number in range(12)]
    assert lines[12:] == ["… 28 lines left out: nobody took them in time", "and on"]


def test_what_is_taken_in_time_is_whole() -> None:
    """The twin."""
    taker = Taker()
    taker.may.set()
    writer = LineWriter(taker)
    for number in range(1000):
        writer(f"{number}\n")
    assert writer.close()
    assert writer.lost == 0
    assert taker.taken.decode().splitlines() == list(map(str, range(1000)))


def test_an_end_without_anything_more_to_say_tells_it_too() -> None:
    taker = Taker()
    writer = LineWriter(taker, limit=5)
    writer("too long to wait\n")
    taker.may.set()
    assert writer.close()
    assert taker.taken.decode() == "… 1 lines left out: nobody took them in time\n"


def test_what_nobody_takes_at_all_is_given_up() -> None:
    taker = Taker()
    writer = LineWriter(taker)
    writer("one\n")
    writer("two\n")
    assert not writer.close()
    assert writer.lost == 2
    taker.may.set()
