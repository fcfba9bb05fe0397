"""How a command is told to sign with a CA of the user's own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mitm import pki
from mitm.errors import UserError
from mitm.masking import plain

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


def authority_options(command: F) -> F:
    """Give a command `--authority` and `--authority-key`."""
    cert = click.option("--authority", type=_FILE, metavar="FILE", help=_AUTHORITY)
    key = click.option("--authority-key", type=_FILE, metavar="FILE", help="The key to it, PEM.")
    return cert(key(command))


_AUTHORITY = "A CA of your own that the client trusts, PEM, to sign in the place of the lab's."


def own_authority(
    cert: Path | None, key: Path | None, names: Sequence[str], *, signs: bool = True
) -> pki.Authority | None:
    """The CA that is to sign, if one is given; its owner is told what becomes of its key.

    Args:
        cert, key: its files.
        names: DNS names and IP addresses under test.
        signs: whether anything is to be signed; it may be that it is imitated only.

    Raises:
        UserError: one file is missing, or they are not a CA and its key.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UserError("--authority and --authority-key go together: a CA and the key to it, PEM")
    authority = pki.authority_from_files(cert, key)
    if signs:
        subject = plain(authority.certificate.subject.rfc4514_string())
        click.echo(
            f"mitm-demo: signing with the key of {cert} ({subject}), for {', '.join(names)}; what "
            "is signed lives for a day at the most, and the key stays in memory",
            err=True,
        )
    return authority
