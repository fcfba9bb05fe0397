"""The parts beside the interceptor, for a live class: `serve` and `call`.

Both become another program, which a user waits for: little is loaded before that.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click

from mitm import content
from mitm.address import Address, guard, is_loopback, parse
from mitm.cli import completion
from mitm.cli.client_options import clients_option
from mitm.cli.modes import allow_host_option
from mitm.cli.seconds import Seconds
from mitm.errors import UserError
from mitm.lab.clients import load_client, surroundings

# What fits the field.
_INT64 = click.IntRange(-(2**63), 2**63 - 1)

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--listen", default="127.0.0.1:50051", show_default=True, metavar="HOST:PORT")
@click.option("--cert", type=_FILE, help="Its certificate chain, PEM. Without it: no TLS.")
@click.option("--key", type=_FILE, help="The key to it, PEM.")
@click.option(
    "--client-ca", type=_FILE, help="The CAs of its clients, PEM: each must have a certificate."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="NAME",
    help="A DNS name or URI of a client's certificate: others may not call. Repeatable.",
)
@allow_host_option
def serve(
    listen: str,
    cert: Path | None,
    key: Path | None,
    client_ca: Path | None,
    allow: tuple[str, ...],
    allow_host: tuple[str, ...],
) -> None:
    """Start the victim server, until Ctrl-C.

    \b
    mitm-demo serve
    mitm-demo serve --cert lab/server.pem --key lab/server.key

    It prints a JSON line when it listens, and one for each call. Certificate, key and CAs are read
    again when the files have changed.
    """
    command = [
        sys.executable,
        str(content.SERVER),
        "--listen",
        str(guard(parse(listen), allow_host)),
    ]
    if cert:
        command += ["--cert", str(cert)]
    if key:
        command += ["--key", str(key)]
    if client_ca:
        command += ["--client-ca", str(client_ca)]
    for name in allow:
        command += ["--allow", name]
    _hand_over(command, os.environ)


@click.command()
@click.option("--target", required=True, metavar="HOST:PORT", help="What to dial.")
@click.option(
    "--policy",
    required=True,
    metavar="POLICY",
    help="How to decide whom to trust.",
    shell_complete=completion.policy_names,
)
@click.option("--ca", type=_FILE, help="For ca-file: the CA, PEM.")
@click.option("--pin", type=_FILE, help="For pinned: the server's own certificates, PEM.")
@click.option("--cert", type=_FILE, help="What the client presents to a server that asks, PEM.")
@click.option("--key", type=_FILE, help="The key to it, PEM.")
@click.option("--server-name", metavar="NAME", help="The name to check, if not the target's.")
@click.option("--id", "id_", type=_INT64, metavar="N", help="The user to ask for.")
@click.option("--token", help="Sent as `authorization: Bearer TOKEN`.")
@click.option("--timeout", type=Seconds(), metavar="SECONDS")
@click.option(
    "--client",
    default="python",
    metavar="NAME",
    help="Client program, or its folder.",
    shell_complete=completion.client_names,
)
@clients_option
@allow_host_option
def call(
    target: str,
    policy: str,
    client: str,
    clients: tuple[Path, ...],
    id_: int | None,
    allow_host: tuple[str, ...],
    **options: object,
) -> None:
    """Call the server once, as a client of some policy.

    \b
    mitm-demo call --policy insecure --target localhost:50051
    mitm-demo call --policy ca-file --ca lab/ca.pem --target localhost:50052
    mitm-demo call --policy mutual-tls --ca ca.pem --cert client.pem --key client.key --target …
    """
    chosen = load_client(client, *clients)
    chosen.must_know(policy)
    address = guard(parse(target), allow_host)
    if chosen.requires or chosen.build:
        from mitm.cli.building import made_ready

        chosen = made_ready(chosen)
    command = [*chosen.command, "--target", str(address), "--policy", policy]
    for name, value in (options | {"id": id_}).items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    _hand_over(command, _environment(address))


def _environment(target: Address) -> dict[str, str]:
    """A client's, with the caller's own proxies where they are wanted.

    An empty `no_proxy` says that they are, as before `proxy --mode connect`.
    """
    straight = surroundings(os.environ)
    if is_loopback(target.host) and os.environ.get("no_proxy") != "":
        return straight
    return dict(os.environ) | {"MITM_PROTO": straight["MITM_PROTO"]}


def _hand_over(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Become another program: same terminal, same process, so that it ends whenever this would."""
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise UserError(f"cannot start {command[0]}: {error.strerror}") from None
