"""What takes a while, and how it goes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from mitm.audit import Finding


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[Finding], None]]:
    """A progress bar on a terminal, and nothing anywhere else; what is given goes on by one.

    Args:
        what: is counted.
        total: how many there will be, 0 for no bar.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not total or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda finding: bar.advance(task)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal what goes on, as long as it does, and leave nothing of it there."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(f"{what} …")):
        yield
