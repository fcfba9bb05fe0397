"""`mitm-demo clients`: the clients of the lab, what they need, and how they are built."""

from pathlib import Path

import click

from mitm.cli import completion
from mitm.cli.client_options import clients_option
from mitm.cli.loading import loading


@click.group(invoke_without_command=True)
@clients_option
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
@click.pass_context
def clients(context: click.Context, clients: tuple[Path, ...], json_: bool) -> int:
    """List the clients of the lab, with what each needs and whether that is here; or build them.

    \b
    mitm-demo clients
    mitm-demo clients --json
    mitm-demo clients build            all that can be built here
    mitm-demo clients build go java
    """
    context.obj = clients
    if context.invoked_subcommand is None:
        with loading():
            from mitm.cli.client_list import print_clients

        print_clients(clients, as_json=json_)
    return 0


@clients.command()
@click.argument("name", nargs=-1, shell_complete=completion.client_names)
@click.pass_obj
def build(folders: tuple[Path, ...], name: tuple[str, ...]) -> int:
    """Build clients, into ~/.cache/mitm-demo; those that are built already are left as they are.

    \b
    mitm-demo clients build            all that can be built here
    mitm-demo clients build go java

    Exit code: 2 if one could not be built, or was named and lacks something.
    """
    with loading():
        from mitm.cli.client_list import build_clients

    return build_clients(name, folders)
