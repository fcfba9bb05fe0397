"""`mitm-demo run`: play scenarios."""

import sys
from pathlib import Path

import click

from mitm.cli import completion, report
from mitm.cli.loop import in_loop
from mitm.cli.recording import Recording, recording_options
from mitm.cli.scenario_view import ScenarioView
from mitm.cli.seconds import Seconds
from mitm.events import Event
from mitm.lab.clients import Client, load_client
from mitm.lab.play import Played, play
from mitm.lab.scenario import Scenario, load_scenario, scenarios
from mitm.masking import as_json


@click.command()
@click.argument("scenario", nargs=-1, shell_complete=completion.scenario_names)
@click.option(
    "--client",
    default="python",
    metavar="NAME",
    help="Client program, or its folder.",
    shell_complete=completion.client_names,
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that the client is given for each leg.",
)
@click.option("--json", "json_", is_flag=True, help="One JSON object a scenario, one a line.")
@recording_options
def run(
    scenario: tuple[str, ...],
    client: str,
    timeout: float,
    json_: bool,
    events: Path | None,
    pcap: Path | None,
    keylog: Path | None,
) -> int:
    """Play scenarios against a real client and server, and judge them.

    \b
    mitm-demo run                    all of them, in order, then a summary
    mitm-demo run skip-verify        one
    mitm-demo run ./mine.md          your own
    mitm-demo run --json             for programs
    mitm-demo run pinned --events events.jsonl
    mitm-demo run pinned --pcap pinned.pcapng

    --pcap and --keylog take the leg under attack, from both sides of the interceptor.

    What needs a policy that the client does not know is not played, and told.

    Exit code: 0 if every verdict was the expected one, 1 if not, 2 for wrong input, 3 if a scenario
    that was named could not be played.
    """
    loaded = [load_scenario(name) for name in scenario or scenarios()]
    if not scenario:
        loaded.sort(key=lambda s: s.order)
    chosen = load_client(client)
    playable = [each for each in loaded if each.policy in chosen.policies]
    others = [each for each in loaded if each not in playable]
    if not playable:
        chosen.must_know(loaded[0].policy)
    show = None if json_ else ScenarioView(report.console())
    with Recording(events, pcap, keylog) as recording:
        outcomes = in_loop(_play_all(playable, chosen, timeout, show, recording))
    if show:
        show.close()
        report.not_played(report.console(), others, chosen)
    else:
        for each in others:
            click.echo(as_json(report.not_played_as_json(each, chosen)))
    if not all(outcome.matched for outcome in outcomes):
        return 1
    return recording.exit_code(3 if scenario and others else 0)


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
