"""Scenarios, played one after the other, shown and recorded: what `mitm-demo run` does."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import click

from mitm.cli import report
from mitm.cli.building import made_ready
from mitm.cli.loop import in_loop
from mitm.cli.recording import Recording
from mitm.cli.run_page import RunPage
from mitm.cli.scenario_view import ScenarioView
from mitm.events import Event
from mitm.lab.acme import NotPlayed
from mitm.lab.client_run import PolicyUnsupported
from mitm.lab.clients import Client, load_client
from mitm.lab.play import Played, play
from mitm.lab.scenario import Scenario, in_order, load_scenario
from mitm.masking import as_json


def play_scenarios(
    names: Sequence[str],
    client: str,
    folders: Sequence[Path],
    timeout: float,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    as_lines: bool,
    page: RunPage | None = None,
) -> int:
    """Play scenarios and show them.

    Args:
        names: which, or the paths of files; none for all that come with the project.
        client: the name of a client, or its folder.
        folders: of further clients.
        timeout: seconds that it is given for each leg.
        files: where events, packets and secrets are written; see `Recording`.
        as_lines: print one JSON object for each, and nothing else.
        page: to write, besides; None for none.

    Returns:
        The exit code, as the command's help has it.

    Raises:
        UserError: a scenario or the client is not there, or cannot be played.
    """
    loaded = [load_scenario(name) for name in names] if names else in_order()
    described = load_client(client, *folders)
    lacking = [each.lacking(described.policies) for each in loaded]
    if all(lacking):
        described.must_know(lacking[0][0])
    chosen = made_ready(described)
    with Recording(*files) as recording:
        outcomes, left = in_loop(
            _Playing(chosen, timeout, recording, as_lines=as_lines, page=page)(loaded)
        )
    if page:
        page.write()
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
        as_lines: print one JSON object for each, and nothing else.
        page: keeps what it is made of; None for none.
    """

    def __init__(
        self,
        client: Client,
        timeout: float,
        recording: Recording,
        *,
        as_lines: bool,
        page: RunPage | None,
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._recording = recording
        self._page = page
        self._show = None if as_lines else ScenarioView(report.console())

    async def __call__(self, loaded: Sequence[Scenario]) -> tuple[list[Played], list[_Left]]:
        """Play them.

        Returns:
            What came of those that could be played, and why others could not.
        """
        outcomes = []
        others: list[tuple[str, _Left]] = []
        for scenario in loaded:
            outcome = await self._play(scenario)
            if isinstance(outcome, _Left):
                others.append((scenario.name, outcome))
                if self._page:
                    self._page.left_out(scenario, outcome.reason)
                if not self._show:
                    _print(report.not_played_as_json(scenario, self._client, outcome.reason))
                continue
            outcomes.append(outcome)
            if self._page:
                self._page.played(scenario, outcome)
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

    def _see(self, event: Event) -> None:
        self._recording(event)
        if self._page:
            self._page.see(event)
        if self._show:
            self._show(event)


def _print(outcome: dict[str, object]) -> None:
    click.echo(as_json(outcome))
    sys.stdout.flush()
