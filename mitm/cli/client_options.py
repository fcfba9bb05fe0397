"""The options by which commands are told of clients of the lab."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def clients_option(command: F) -> F:
    """Add `--clients`: where further clients are."""
    return click.option(
        "--clients",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="A folder of further clients, each in a folder with a manifest.",
    )(command)
