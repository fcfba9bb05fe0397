"""The ingress as a process: it ends TLS in front of a server."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from mitm import content
from mitm.address import Address
from mitm.lab.server import listening
from mitm.programs import started


@contextlib.asynccontextmanager
async def running_ingress(
    cert: Path,
    key: Path,
    upstream: Address,
    *,
    last_hop: Literal["plaintext", "unverified"] | Path = "plaintext",
    client_certificates: Literal["any"] | Path | None = None,
) -> AsyncIterator[Address]:
    """Start the ingress on loopback, and stop it when the block ends.

    Args:
        cert: its chain, a PEM file.
        key: the key to it.
        upstream: the server behind.
        last_hop: how that is reached: in plaintext, over TLS with whoever answers, or over TLS
            with a server that has a certificate of these CAs, a PEM file, for its name.
        client_certificates: what a client must show: a certificate that anybody signed, or one of
            these CAs, a PEM file; None for nothing.

    Yields:
        Where it listens.

    Raises:
        UserError: it does not come up.
    """
    command = [sys.executable, str(content.INGRESS), "--listen", "127.0.0.1:0"]
    command += ["--cert", str(cert), "--key", str(key), "--upstream", str(upstream)]
    if last_hop == "unverified":
        command += ["--upstream-tls"]
    elif last_hop != "plaintext":
        command += ["--upstream-ca", str(last_hop)]
    if client_certificates == "any":
        command += ["--client-certificates", "any"]
    elif client_certificates:
        command += ["--client-certificates", "required", "--client-ca", str(client_certificates)]
    async with started(command, os.environ) as program:
        yield await listening(program, "the ingress")
