"""What `run --html` writes: the scenarios that were played, as one page."""

from collections.abc import Sequence
from pathlib import Path

from mitm.audit.reports import ReportFile
from mitm.events import Event
from mitm.lab.play import Played
from mitm.lab.scenario import Scenario


class RunPage:
    """Keeps what a page is made of while scenarios are played.

    Args:
        path: of the page. That it can be written is found out now.
        again: the command that plays them again, in words of a shell.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, path: Path, again: Sequence[str]) -> None:
        # Whoever asks for no page does without what makes them.
        from mitm import html

        self._html = html
        self._file = ReportFile("--html", path)
        self._again = again
        self._events: list[Event] = []
        self._scenes: list[html.Scene] = []
        self._left_out: list[html.LeftOut] = []

    def see(self, event: Event) -> None:
        """Keep an event of the scenario that is being played."""
        self._events.append(event)

    def played(self, scenario: Scenario, outcome: Played) -> None:
        """Keep what came of a scenario, of which all events were seen."""
        self._scenes.append(self._html.Scene(outcome, self._events, scenario.lesson))
        self._events = []

    def left_out(self, scenario: Scenario, reason: str) -> None:
        """Keep that a scenario was not played."""
        self._left_out.append(self._html.LeftOut(scenario.name, reason))
        self._events = []

    def write(self) -> None:
        """Write the page.

        Raises:
            UserError: it cannot be written.
        """
        self._file.write(self._html.run_page(self._scenes, self._left_out, self._again))
