"""`mitm-demo replay`: show a recorded run again."""

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

import click
import msgspec

from mitm.capture import EventPrinter, read_events
from mitm.capture.wording import mood_of
from mitm.cli import report
from mitm.cli.live import accepted_in_catalogue, verbose_option
from mitm.cli.scenario_view import ScenarioView
from mitm.errors import UserError
from mitm.events import Event, ScenarioStarted
from mitm.evidence import SingleVerdict, SingleVerdicts


@click.command()
@click.argument("file", type=click.File("rb"))
@verbose_option
def replay(file: BinaryIO, verbose: bool) -> None:
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
        _show(read_events(file, name), verbose=verbose)
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: a leg ends without its result: {error}") from None


def _show(events: Iterator[Event], *, verbose: bool) -> None:
    console = report.console()
    first = next(events, None)
    if first is None:
        return
    # What `run` records begins with a scenario.
    if isinstance(first, ScenarioStarted):
        show = ScenarioView(console, details=True, frames=verbose)
        see: Callable[[Event], None] = show
        end = show.close
    else:
        see, end = _as_proxy_shows(EventPrinter(console, frames=True, routine=verbose))
    for event in chain([first], events):
        see(event)
    end()


def _as_proxy_shows(
    printer: EventPrinter,
) -> tuple[Callable[[Event], None], Callable[[], None]]:
    """What shows an event, and what is left at the end."""
    verdicts = SingleVerdicts(accepted_in_catalogue)

    def judge(verdict: SingleVerdict) -> None:
        printer.say(str(verdict), mood_of(verdict.verdict))

    def see(event: Event) -> None:
        printer(event)
        if verdict := verdicts(event):
            judge(verdict)

    def end() -> None:
        for verdict in verdicts.rest():
            judge(verdict)

    return see, end
