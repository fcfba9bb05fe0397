"""`mitm-demo replay`: show a recorded run again."""

import sys
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import click
import msgspec

from mitm.capture import EventPrinter, read_events
from mitm.cli import report
from mitm.cli.scenario_view import ScenarioView
from mitm.errors import UserError
from mitm.events import Event, ScenarioStarted


@click.command()
@click.argument("file", type=click.File("rb"))
def replay(file: BinaryIO) -> None:
    """Show a run again that was recorded with --events, as it was, without any network.

    \b
    mitm-demo replay events.jsonl
    mitm-demo replay - < events.jsonl
    tail -n +1 -f events.jsonl | mitm-demo replay -

    Credentials are masked, as they were; the file itself holds them unmasked.

    Exit code: 2 if a line is no event, or the last one is cut off; what came before it is shown.
    """
    name = "standard input" if file is sys.stdin.buffer else file.name
    try:
        _show(read_events(file, name))
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: a leg ends without its result: {error}") from None


def _show(events: Iterator[Event]) -> None:
    console = report.console()
    first = next(events, None)
    if first is None:
        return
    # What `run` records begins with a scenario; `proxy` has none, and shows every frame.
    show = ScenarioView(console)
    see = show if isinstance(first, ScenarioStarted) else EventPrinter(console, frames=True)
    for event in chain([first], events):
        see(event)
    show.close()
