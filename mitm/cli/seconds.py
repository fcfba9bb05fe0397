"""Times that a user gives."""

import math
from typing import Any

import click

# A day: what waits for longer waits for ever, and event loops take no number at all.
_LONGEST = 86_400


class Seconds(click.FloatRange):
    """A number of seconds, from 0.1 to a day. `nan` is between any two numbers for click."""

    name = "number of seconds"  # for click's own messages

    def __init__(self) -> None:
        super().__init__(min=0.1, max=_LONGEST)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it.

        Raises:
            click.BadParameter: it is no such number.
        """
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return number
