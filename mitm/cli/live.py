"""What `proxy` shows while it goes on: events, and a verdict for each connection."""

import sys
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from mitm import content, pki
from mitm.capture import EventLines, LineWriter, LiveView
from mitm.capture.wording import mood_of
from mitm.cli import report, streams
from mitm.events import Event, Wanted
from mitm.evidence import SingleVerdict, SingleVerdicts

F = TypeVar("F", bound=Callable[..., Any])

verbose_option = click.option(
    "--verbose", is_flag=True, help="Show SETTINGS, WINDOW_UPDATE and PING as well."
)
quiet_option = click.option(
    "--quiet", is_flag=True, help="Show verdicts alone, one for each connection at its end."
)


class Live:
    """Shows what happens, for `with`. Whatever becomes of the output, nobody waits for it.

    Args:
        verbose: show all frames.
        quiet: show verdicts alone.
        recorded: whether all events go into a file as well.
        accepted: tells of the name of a certificate whether a correct client accepts it.

    Attributes:
        wanted: the events that this needs.
    """

    def __init__(
        self, *, verbose: bool, quiet: bool, recorded: bool, accepted: Callable[[str], bool]
    ) -> None:
        self._verdicts = SingleVerdicts(accepted)
        self._quiet = quiet
        self._terminal = sys.stdout.isatty()
        encoding, errors = sys.stdout.encoding, sys.stdout.errors or "strict"
        self._writer = LineWriter(streams.write_output, lambda text: text.encode(encoding, errors))
        lines = EventLines(report.console(), frames=True, routine=verbose)
        elsewhere = "the file of --events has them" if recorded else "--events FILE has them all"
        self._view = LiveView(lines, self._writer, paced=self._terminal, elsewhere=elsewhere)
        self.wanted: Wanted = SingleVerdicts.wanted
        if not quiet:
            self.wanted |= lines.wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._view.close()
        whole = False
        try:
            whole = self._writer.close()
        finally:
            if self._terminal and not whole:
                # It is paused, and whoever told of anything there would wait for it.
                streams.be_quiet()
            elif self._writer.lost:
                streams.leave_out(f"nobody took it in time: {self._writer.lost:,} lines left out")

    def __call__(self, event: Event) -> None:
        """Show an event, and the verdict that it brings."""
        try:
            if not self._quiet:
                self._view(event)
        finally:
            if verdict := self._verdicts(event):
                self.judge(verdict)

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._view.say(text, "")

    def judge(self, verdict: SingleVerdict) -> None:
        """Show a verdict."""
        self._view.say(str(verdict), mood_of(verdict.verdict))


@lru_cache
def accepted_in_catalogue(certificate: str) -> bool:
    """Whether a name is that of a certificate of the catalogue which a correct client accepts."""
    known = certificate in content.markdown_files(content.CERTS)
    return known and pki.load_recipe(certificate).expect == "accept"
