"""`mitm-demo run`: play scenarios."""

from pathlib import Path

import click

from mitm.cli import completion
from mitm.cli.client_options import clients_option
from mitm.cli.loading import loading
from mitm.cli.recording import must_differ, recording_options
from mitm.cli.seconds import Seconds

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("scenario", nargs=-1, shell_complete=completion.scenario_names)
@click.option(
    "--client",
    default="python",
    metavar="NAME",
    help="Client program, or its folder.",
    shell_complete=completion.client_names,
)
@clients_option
@click.option(
    "--timeout",
    type=Seconds(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that the client is given for each leg.",
)
@click.option("--details", is_flag=True, help="Show events, evidence and lesson as well.")
@click.option("--step", is_flag=True, help="Show one part after the other, at a key.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a scenario, one a line.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page, for any browser.")
@recording_options
def run(
    scenario: tuple[str, ...],
    client: str,
    clients: tuple[Path, ...],
    timeout: float,
    details: bool,
    step: bool,
    json_: bool,
    html: Path | None,
    events: Path | None,
    pcap: Path | None,
    keylog: Path | None,
) -> int:
    """Play scenarios against a real client and server, and judge them.

    \b
    mitm-demo run                    all of them, in order, a line for each
    mitm-demo run skip-verify        one, on one screen
    mitm-demo run pinned --details   with everything that happened
    mitm-demo run pinned --step      for a speaker: goes on at a key
    mitm-demo run ./mine.md          your own
    mitm-demo run --json             for programs
    mitm-demo run pinned --html pinned.html
    mitm-demo run pinned --events events.jsonl
    mitm-demo run pinned --pcap pinned.pcapng

    --pcap and --keylog take the leg under attack, from both sides of the interceptor.

    What needs a policy that the client does not know, or its stack cannot do, or a program that is
    not installed, is not played, and told. A client that is to be built is built when it is first
    used: mitm-demo clients.

    Exit code: 0 if every verdict was the expected one, 1 if not, 2 for wrong input; if a scenario
    that was named could not be played, 4 for want of something that is to be installed, else 3.
    """
    # Completion, `--help` and mistakes do without.
    with loading():
        from mitm.cli.again import Invocation
        from mitm.cli.playing import Shown, play_scenarios
        from mitm.cli.run_page import RunPage

    must_differ({"--html": html, "--events": events, "--pcap": pcap, "--keylog": keylog})
    page = RunPage(html, Invocation(click.get_current_context()).whole) if html else None
    how = Shown(as_lines=json_, details=details, step=step, page=page)
    return play_scenarios(scenario, client, clients, timeout, (events, pcap, keylog), how=how)
