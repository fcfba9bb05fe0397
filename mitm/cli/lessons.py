"""`mitm-demo list` and `mitm-demo show`: what there is to play, and the lessons behind it."""

from pathlib import Path

import click

from mitm.cli import completion
from mitm.cli.client_options import clients_option
from mitm.cli.loading import loading


@click.command(name="list")
@click.argument(
    "kind",
    type=click.Choice(["scenarios", "certs", "attacks", "offers", "ways", "clients"]),
    required=False,
)
@clients_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, of all kinds.")
def list_content(kind: str | None, clients: tuple[Path, ...], as_json: bool) -> None:
    """List scenarios, certificates, attacks and clients, or those of one kind with more about each.

    \b
    mitm-demo list
    mitm-demo list certs
    mitm-demo list attacks
    mitm-demo list certs --json
    """
    # Completion, `--help` and mistakes do without.
    with loading():
        from mitm.cli import contents

    contents.print_list(kind, clients, as_json=as_json)


@click.command()
@click.argument("name", shell_complete=completion.lesson_names)
def show(name: str) -> None:
    """Show the lesson of a scenario or certificate, or a file for your tests.

    \b
    mitm-demo show skip-verify
    mitm-demo show attacker-ca
    mitm-demo show ./mine.md
    mitm-demo show session/go > mitm.go
    """
    with loading():
        from mitm.cli import contents

    contents.print_lesson(name)
