"""A part of an audit on the command line: `--shard K/N`."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# Nobody has so many hosts that it takes more digits.
_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


def shard_option(command: F) -> F:
    """Give a command `--shard`; it is called with the number of a part, and how many there are."""
    return click.option(
        "--shard",
        metavar="K/N",
        callback=_read,
        help="Try one of N parts alone, for mitm-demo merge: 1/3, 2/3 and 3/3 are the whole.",
    )(command)


def _read(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    match = _SHARD.fullmatch(value)
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise click.BadParameter(f"{value!r} is no part: write K/N, the first of three as 1/3")
    return number, of
