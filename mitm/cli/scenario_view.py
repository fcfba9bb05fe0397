"""Shows scenarios from their events alone: as they are played, and again from a recording."""

from rich.console import Console

from mitm.capture import EventPrinter
from mitm.cli import report
from mitm.events import Event, LegEnded, LegLeftOut, LegStarted, ScenarioStarted
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
        self._ends: dict[int, LegEnded | LegLeftOut] = {}
        self._observers: dict[int, Observer] = {}
        self._observer = Observer()
        self._outcomes: list[Played] = []

    def __call__(self, event: Event) -> None:
        """Print an event, and what it completes.

        Raises:
            msgspec.ValidationError: the end of a leg does not hold a result.
        """
        match event:
            case ScenarioStarted():
                self._script, self._ends, self._observers = event, {}, {}
                report.cast(self._console, event)
                return
            case LegStarted():
                self._observer = self._observers[event.number] = Observer()
            case LegEnded() | LegLeftOut():
                self._ends[event.number] = event
                self._printer(event)
                if self._script and len(self._ends) == len(self._script.legs):
                    self._conclude(self._script)
                return
            case _:
                self._observer(event)
        self._printer(event)

    def _conclude(self, script: ScenarioStarted) -> None:
        self._script = None
        outcome = Played.recorded(script, self._ends, self._observers)
        if any(leg.result for leg in outcome.legs):
            self._outcomes.append(outcome)
            report.outcome(self._console, outcome)

    def close(self) -> None:
        """Print the summary, if there is something to sum up."""
        if len(self._outcomes) > 1:
            report.summary(self._console, self._outcomes)
