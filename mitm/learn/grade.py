"""What an exercise comes to, and why."""

from typing import Literal

import msgspec

Outcome = Literal["green", "red", "unproved"]

_EXIT_CODES: dict[Outcome, int] = {"green": 0, "red": 1, "unproved": 3}


class Tried(msgspec.Struct, frozen=True):
    """One thing that was tried on a learner's program.

    Attributes:
        name: by which `mitm-demo show` knows it.
        title: what it is, in a sentence.
        good: whether the program did what is right.
        reason: what it did.
    """

    name: str
    title: str
    good: bool
    reason: str


class Grade(msgspec.Struct, frozen=True):
    """What an exercise comes to.

    Attributes:
        outcome: `green`; `red`: it does something wrong; `unproved`: it does not get through where
            it should, so that nothing is proved by what it refuses.
        reason: in one sentence.
        read: what an attacker read of it, line by line.
        tried: all that was tried.
        said: the last lines that the program has printed, if they say why.
    """

    outcome: Outcome
    reason: str
    read: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 green, 1 red, 3 nothing is proved."""
        return _EXIT_CODES[self.outcome]
