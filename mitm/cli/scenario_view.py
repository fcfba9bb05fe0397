"""Shows scenarios from their events alone: as they are played, and again from a recording."""

from rich.console import Console

from mitm.capture import EventPrinter
from mitm.cli import report
from mitm.events import Event, LegEnded, LegStarted, ScenarioStarted
from mitm.evidence import Observer
from mitm.lab.play import Played


class ScenarioView:
    """Prints the cast, the events, the outcome and the lesson of scenarios.

    Args:
        console: where to.
        frames: whether HTTP/2's control frames are shown too.
    """

    def __init__(self, console: Console, *, frames: bool = False) -> None:
        self._console = console
        self._printer = EventPrinter(console, frames=frames)
        self._script: ScenarioStarted | None = None
        self._genuine: LegEnded | None = None
        self._observer = Observer()
        self._outcomes: list[Played] = []

    def __call__(self, event: Event) -> None:
        """Print an event, and what it completes.

        Raises:
            msgspec.ValidationError: the end of a leg does not hold a result.
        """
        match event:
            case ScenarioStarted():
                self._script, self._genuine = event, None
                report.cast(self._console, event)
                return
            case LegStarted():
                self._observer = Observer()
            case LegEnded(leg="genuine"):
                self._genuine = event
            case LegEnded():
                self._printer(event)
                self._conclude(event)
                return
            case _:
                self._observer(event)
        self._printer(event)

    def _conclude(self, intercepted: LegEnded) -> None:
        if self._script and self._genuine:
            outcome = Played.recorded(self._script, self._genuine, intercepted, self._observer)
            self._outcomes.append(outcome)
            report.outcome(self._console, outcome)

    def close(self) -> None:
        """Print the summary, if there is something to sum up."""
        if len(self._outcomes) > 1:
            report.summary(self._console, self._outcomes)
