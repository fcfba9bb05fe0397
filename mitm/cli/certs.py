"""`mitm-demo certs`: the lab's PKI, or one certificate of the catalogue, as files."""

from datetime import UTC, datetime
from pathlib import Path

import click

from mitm import pki
from mitm.address import LOCALHOST, must_be_a_name
from mitm.cli import completion
from mitm.errors import UserError


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--only",
    metavar="NAME",
    help="One certificate of the catalogue, or a file.",
    shell_complete=completion.certificate_names,
)
@click.option("--name", default=LOCALHOST, show_default=True, help="The name to make them for.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def certs(directory: Path, only: str | None, name: str, force: bool) -> None:
    """Write the lab's PKI as PEM files, for use by hand.

    \b
    mitm-demo certs lab
    openssl x509 -in lab/attacker.pem -noout -text
    mitm-demo certs --only self-signed lab

    ca.pem is what clients trust, and the server that asks for certificates; server.pem and
    server.key are the server's, client.pem and client.key a client's; attacker-ca.pem, attacker.pem
    and attacker.key the attacker's. All are valid for a day, and the keys of both CAs
    are gone when this ends. Nothing is installed anywhere.

    With --only, NAME.pem is the chain to present, NAME.key the key to it, and NAME.ca.pem what a
    client under test is to trust.
    """
    must_be_a_name(name)
    authorities = pki.Authorities(list(dict.fromkeys((name, LOCALHOST, "127.0.0.1", "::1"))))
    if only:
        recipe = pki.load_recipe(only)
        try:
            chain = pki.forge(recipe, name, authorities, datetime.now(UTC))
        except pki.Unsupported as error:
            raise UserError(f"certificate {only!r} cannot be made here: {error}") from None
        written = pki.write_chain(directory, chain, overwrite=force)
    else:
        written = pki.write_lab(directory, authorities, overwrite=force)
    for path in written:
        click.echo(path)
