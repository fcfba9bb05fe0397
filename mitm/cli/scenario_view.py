"""Shows scenarios from their events alone: as they are played, and again from a recording."""

from collections.abc import Callable

from rich.console import Console

from mitm.capture import EventPrinter
from mitm.cli import report, screen
from mitm.events import Event, LegEnded, LegLeftOut, LegStarted, ScenarioStarted
from mitm.evidence import Observer
from mitm.lab.picture import picture
from mitm.lab.play import Played


class ScenarioView:
    """Prints the outcome of scenarios, each on one screen.

    Args:
        console: where to.
        details: whether the cast, the events, the evidence and the lesson are printed before.
        frames: whether HTTP/2's control frames are among the events.
        pause: is called before each leg, and between the parts of the screen, for a speaker.
        names: of all that will be played, for a line for each in the place of a screen; none for
            the screens.
    """

    def __init__(
        self,
        console: Console,
        *,
        details: bool,
        frames: bool = False,
        pause: Callable[[], None] = lambda: None,
        names: tuple[str, ...] = (),
    ) -> None:
        self._console = console
        self._details = details
        self._pause = pause
        self._rows = report.Rows(console, names)
        self._in_rows = bool(names)
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
                self._begin(event)
                return
            case LegStarted():
                self._observer = self._observers[event.number] = Observer()
                if self._details:
                    self._pause()
            case LegEnded() | LegLeftOut():
                self._ends[event.number] = event
            case _:
                self._observer(event)
        if self._details:
            self._printer(event)
        if self._script and len(self._ends) == len(self._script.legs):
            self._conclude(self._script)

    def _begin(self, script: ScenarioStarted) -> None:
        if not self._outcomes and self._in_rows:
            self._rows.head()
        if (self._outcomes or self._script) and not self._in_rows:
            self._pause()
            self._console.print()
        self._script, self._ends, self._observers = script, {}, {}
        if self._details:
            report.cast(self._console, script)

    def _conclude(self, script: ScenarioStarted) -> None:
        self._script = None
        outcome = Played.recorded(script, self._ends, self._observers)
        if not any(leg.result for leg in outcome.legs):
            return
        self._outcomes.append(outcome)
        if self._in_rows:
            self._rows.add(outcome)
            return
        made = picture(outcome)
        if self._details:
            report.evidence(self._console, made, outcome)
            self._console.print()
            self._pause()
        screen.show(self._console, made, self._pause)

    def close(self) -> None:
        """Print what there is to say of all of them together, if there are several."""
        if self._in_rows:
            for outcome in self._outcomes:
                if not outcome.matched:
                    self._console.print()
                    screen.show(self._console, picture(outcome))
        elif len(self._outcomes) > 1:
            self._console.print()
            self._rows.head()
            for outcome in self._outcomes:
                self._rows.add(outcome)
        if len(self._outcomes) > 1:
            self._rows.end()
