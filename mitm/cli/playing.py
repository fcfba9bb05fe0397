"""Scenarios, played one after the other, shown and recorded: what `mitm-demo run` does."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, NamedTuple

import click

from mitm.cli import report
from mitm.cli.building import made_ready
from mitm.cli.loop import in_loop
from mitm.cli.progress import waiting
from mitm.cli.recording import Recording
from mitm.cli.run_page import RunPage
from mitm.cli.scenario_view import ScenarioView
from mitm.errors import UserError
from mitm.events import Event
from mitm.lab.acme import NotPlayed
from mitm.lab.client_run import PolicyUnsupported
from mitm.lab.clients import Client, load_client
from mitm.lab.play import Played, play
from mitm.lab.scenario import Scenario, in_order, load_scenario
from mitm.masking import as_json


class Shown(NamedTuple):
    """How scenarios are shown.

    Attributes:
        as_lines: one JSON object for each, and nothing else.
        details: with cast, events, evidence and lesson.
        step: one part after the other, at a key; when a scenario has been played.
        page: is written besides; None for none.
    """

    as_lines: bool = False
    details: bool = False
    step: bool = False
    page: RunPage | None = None


def play_scenarios(
    names: Sequence[str],
    client: str,
    folders: Sequence[Path],
    timeout: float,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    how: Shown,
) -> int:
    """Play scenarios and show them.

    Args:
        names: which, or the paths of files; none for all that come with the project.
        client: the name of a client, or its folder.
        folders: of further clients.
        timeout: seconds that it is given for each leg.
        files: where events, packets and secrets are written; see `Recording`.
        how: they are shown.

    Returns:
        The exit code, as the command's help has it.

    Raises:
        UserError: a scenario or the client is not there, or cannot be played; or a key is to be
            waited for, and there is none.
    """
    if how.step and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("--step waits for a key, which takes a terminal: leave it out here")
    loaded = [load_scenario(name) for name in names] if names else in_order()
    described = load_client(client, *folders)
    lacking = [each.lacking(described.policies) for each in loaded]
    if all(lacking):
        described.must_know(lacking[0][0])
    chosen = made_ready(described)
    with Recording(*files) as recording:
        outcomes, left = in_loop(_Playing(chosen, timeout, recording, how)(loaded))
    if how.page:
        how.page.write()
    if not all(outcome.matched for outcome in outcomes):
        return 1
    return recording.exit_code(max((each.code for each in left), default=0) if names else 0)


class _Left(NamedTuple):
    """Why a scenario was not played, and the exit code for whoever has named it."""

    reason: str
    code: Literal[3, 4] = 3


class _Playing:
    """Plays scenarios, and prints what comes of each.

    Args:
        client: ready to be run.
        timeout: seconds that it is given for each leg.
        recording: is told every event.
        how: they are shown.
    """

    def __init__(self, client: Client, timeout: float, recording: Recording, how: Shown) -> None:
        self._client = client
        self._timeout = timeout
        self._recording = recording
        self._how = how
        # A speaker needs time, and nobody's is to run out meanwhile.
        self._live = how.details and not how.step
        self._show: ScenarioView | None = None
        self._kept: list[Event] = []

    async def __call__(self, loaded: Sequence[Scenario]) -> tuple[list[Played], list[_Left]]:
        """Play them.

        Returns:
            What came of those that could be played, and why others could not.
        """
        outcomes = []
        others: list[tuple[str, _Left]] = []
        if not self._how.as_lines:
            self._show = self._view(loaded)
        for scenario in loaded:
            with nullcontext() if self._live else waiting(f"playing {scenario.name}"):
                outcome = await self._play(scenario)
            self._show_kept()
            if isinstance(outcome, _Left):
                others.append((scenario.name, outcome))
                if self._how.page:
                    self._how.page.left_out(scenario, outcome.reason)
                if not self._show:
                    _print(report.not_played_as_json(scenario, self._client, outcome.reason))
                continue
            outcomes.append(outcome)
            if self._how.page:
                self._how.page.played(scenario, outcome)
            if not self._show:
                _print(report.as_json(outcome))
        if self._show:
            self._show.close()
            for name, left in others:
                report.not_played(report.console(), name, left.reason)
        return outcomes, [left for _, left in others]

    async def _play(self, scenario: Scenario) -> Played | _Left:
        """What came of a scenario, or why it could not be played."""
        if lacking := scenario.lacking(self._client.policies):
            unknown = " or ".join(lacking)
            return _Left(f"the client {self._client.name} does not know the policy {unknown}")
        try:
            return await play(
                scenario,
                self._client,
                timeout=self._timeout,
                on_event=self._see,
                tap=self._recording.tap,
            )
        except PolicyUnsupported as error:
            return _Left(str(error))
        except NotPlayed as error:
            return _Left(str(error), 4)

    def _view(self, loaded: Sequence[Scenario]) -> ScenarioView:
        how = self._how
        in_rows = len(loaded) > 1 and not how.details and not how.step
        return ScenarioView(
            report.console(),
            details=how.details,
            pause=_key if how.step else lambda: None,
            names=tuple(scenario.name for scenario in loaded) if in_rows else (),
        )

    def _see(self, event: Event) -> None:
        self._recording(event)
        if self._how.page:
            self._how.page.see(event)
        if self._show and self._live:
            self._show(event)
        elif self._show:
            self._kept.append(event)

    def _show_kept(self) -> None:
        kept, self._kept = self._kept, []
        for event in kept:
            if self._show:
                self._show(event)


def _key() -> None:
    """Wait for a key."""
    click.getchar()


def _print(outcome: dict[str, object]) -> None:
    click.echo(as_json(outcome))
    sys.stdout.flush()
