"""How a command is told what to present to a server that asks for a client certificate."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mitm import pki
from mitm.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


def client_certificate_options(command: F) -> F:
    """Give a command `--client-cert` and `--client-key`."""
    cert = click.option("--client-cert", type=_FILE, metavar="FILE", help=_CERT)
    key = click.option("--client-key", type=_FILE, metavar="FILE", help="The key to it, PEM.")
    return cert(key(command))


_CERT = "A certificate, PEM, for a server that asks its clients for one."


def own_identity(cert: Path | None, key: Path | None) -> pki.Chain | None:
    """The client certificate, with its key, if one is given.

    Args:
        cert, key: its files.

    Raises:
        UserError: one file is missing, cannot be read, or they do not fit; or OpenSSL refuses them.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UserError(
            "--client-cert and --client-key go together: a certificate and the key to it, PEM"
        )
    chain = pki.chain_from_files(cert, key)
    try:
        pki.load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), chain)
    except pki.Unsupported as error:
        raise UserError(f"--client-cert {cert}: {error}") from None
    return chain
