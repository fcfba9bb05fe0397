"""PEM files, written so that a private key is nobody else's to read and none is half-written."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from mitm.errors import UserError
from mitm.pki.authority import Authorities
from mitm.pki.chain import Chain
from mitm.pki.forge import forge
from mitm.pki.recipe import load_recipe

# Who the lab's client is, where a server wants to know.
CLIENT_IDENTITY = "client.lab.mitm-demo.localhost"


def write_lab(directory: Path, authorities: Authorities, *, overwrite: bool) -> list[Path]:
    """Write the lab's PKI: what clients trust, what server, client and attacker show.

    The keys of the authorities are not among it.

    Args:
        directory: made with mode 0700 if it is not there, with those above it.
        authorities: whose certificates.
        overwrite: whether files that are there may be replaced.

    Returns:
        The files written.

    Raises:
        UserError: a file is there already, before any is written; or they cannot be written.
    """
    name, now = authorities.names[0], datetime.now(UTC)
    genuine = forge(load_recipe("genuine"), name, authorities, now)
    client = forge(load_recipe("genuine"), CLIENT_IDENTITY, authorities, now, purpose="client")
    forged = forge(load_recipe("attacker-ca"), name, authorities, now)
    files = {
        directory / "ca.pem": authorities.lab.pem,
        directory / "server.pem": genuine.pem,
        directory / "server.key": genuine.key_pem,
        directory / "client.pem": client.pem,
        directory / "client.key": client.key_pem,
        directory / "attacker-ca.pem": authorities.attacker.pem,
        directory / "attacker.pem": forged.pem,
        directory / "attacker.key": forged.key_pem,
    }
    return _write(directory, files, overwrite=overwrite)


def write_chain(directory: Path, chain: Chain, *, overwrite: bool) -> list[Path]:
    """Write one chain, its key, and the CA file that the client under test is given with it.

    Args:
        directory: made with mode 0700 if it is not there, with those above it.
        chain: whose files are called `NAME.pem`, `NAME.key` and `NAME.ca.pem`.
        overwrite: whether files that are there may be replaced.

    Returns:
        The files written.

    Raises:
        UserError: a file is there already, before any is written; or they cannot be written.
    """
    files = {
        directory / f"{chain.name}.ca.pem": chain.anchor_pem,
        directory / f"{chain.name}.pem": chain.pem,
        directory / f"{chain.name}.key": chain.key_pem,
    }
    return _write(directory, files, overwrite=overwrite)


def _write(directory: Path, files: dict[Path, bytes], *, overwrite: bool) -> list[Path]:
    try:
        there = [str(path) for path in files if path.exists()]
        if there and not overwrite:
            raise UserError(
                f"{', '.join(there)} would be overwritten: add --force to let it happen"
            )
        _make_private(directory)
        for path, data in files.items():
            write_private(path, data)
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error.strerror}") from None
    return list(files)


def _make_private(directory: Path) -> None:
    """Make a directory of mode 0700, and each above it that is not there in the same way.

    `mkdir(parents=True)` gives the mode to the last one alone: the others would be open to all.
    """
    for missing in reversed([directory, *directory.parents]):
        missing.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    # mkstemp makes it 0600 from the first byte; the rename is atomic.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
