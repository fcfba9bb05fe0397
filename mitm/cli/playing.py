"""Scenarios, played one after the other, shown and recorded: what `mitm-demo run` does."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mitm.cli import report
from mitm.cli.loop import in_loop
from mitm.cli.recording import Recording
from mitm.cli.scenario_view import ScenarioView
from mitm.events import Event
from mitm.lab.clients import Client, load_client
from mitm.lab.play import Played, play
from mitm.lab.scenario import Scenario, load_scenario, scenarios
from mitm.masking import as_json


def play_scenarios(
    names: Sequence[str],
    client: str,
    timeout: float,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    as_lines: bool,
) -> int:
    """Play scenarios and show them.

    Args:
        names: which, or the paths of files; none for all that come with the project.
        client: the name of a client, or its folder.
        timeout: seconds that it is given for each leg.
        files: where events, packets and secrets are written; see `Recording`.
        as_lines: print one JSON object for each, and nothing else.

    Returns:
        The exit code, as the command's help has it.

    Raises:
        UserError: a scenario or the client is not there, or cannot be played.
    """
    loaded = [load_scenario(name) for name in names or scenarios()]
    if not names:
        loaded.sort(key=lambda s: s.order)
    chosen = load_client(client)
    playable = [each for each in loaded if each.policy in chosen.policies]
    others = [each for each in loaded if each not in playable]
    if not playable:
        chosen.must_know(loaded[0].policy)
    show = None if as_lines else ScenarioView(report.console())
    with Recording(*files) as recording:
        outcomes = in_loop(_play_all(playable, chosen, timeout, show, recording))
    if show:
        show.close()
        report.not_played(report.console(), others, chosen)
    else:
        for each in others:
            click.echo(as_json(report.not_played_as_json(each, chosen)))
    if not all(outcome.matched for outcome in outcomes):
        return 1
    return recording.exit_code(3 if names and others else 0)


async def _play_all(
    loaded: list[Scenario],
    client: Client,
    timeout: float,
    show: ScenarioView | None,
    recording: Recording,
) -> list[Played]:
    def on_event(event: Event) -> None:
        recording(event)
        if show:
            show(event)

    outcomes = []
    for scenario in loaded:
        outcome = await play(
            scenario, client, timeout=timeout, on_event=on_event, tap=recording.tap
        )
        outcomes.append(outcome)
        if not show:
            click.echo(as_json(report.as_json(outcome)))
            sys.stdout.flush()
    return outcomes
