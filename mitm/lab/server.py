"""The victim server as a process, and its own record of calls."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from mitm import content
from mitm.address import Address, parse
from mitm.errors import UserError
from mitm.programs import Output, Program, started
from mitm.verdict import ServerCall

START_SECONDS = 15.0  # seconds; it takes half of one


class RunningServer:
    """A server that listens.

    Attributes:
        address: where, with the real port.
    """

    def __init__(self, address: Address, output: Output) -> None:
        self.address = address
        self._output = output
        self._unread = b""

    def take_calls(self) -> tuple[ServerCall, ...]:
        """The calls recorded since the last time.

        The server writes its line before the client can see the end of the call. So once a client
        has exited, its lines are in the pipe, and reading until it is empty misses none.
        """
        *lines, self._unread = (self._unread + self._output.take()).split(b"\n")
        return tuple(msgspec.json.decode(line, type=ServerCall) for line in lines)


@contextlib.asynccontextmanager
async def running_server(
    cert: Path | None,
    key: Path | None,
    *,
    client_ca: Path | None = None,
    allow: Sequence[str] = (),
) -> AsyncIterator[RunningServer]:
    """Start the server on loopback, and stop it when the block ends.

    Args:
        cert: its chain, a PEM file; None for plaintext. It is read again, with the key and the CAs,
            before a handshake when it has changed.
        key: the key to it.
        client_ca: the CAs of its clients, a PEM file: whoever has no certificate of them is turned
            away. None to ask for none.
        allow: the DNS names and URIs of client certificates that may call; with none, all may.

    Raises:
        UserError: it does not come up.
    """
    command = [sys.executable, str(content.SERVER), "--listen", "127.0.0.1:0"]
    if cert and key:
        command += ["--cert", str(cert), "--key", str(key)]
    if client_ca:
        command += ["--client-ca", str(client_ca)]
    for name in allow:
        command += ["--allow", name]
    async with started(command, os.environ) as program:
        address = await listening(program, "the server")
        yield RunningServer(address, program.stdout)


async def listening(program: Program, what: str) -> Address:
    """Wait for the line with which a program of server/ says where it listens.

    Args:
        program: it has been started.
        what: it is, for the error message.

    Raises:
        UserError: it does not say so.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await program.stdout.first_line()
        return parse(json.loads(line)["listening"])
    except (TimeoutError, ValueError, KeyError):
        said = program.stderr.take().decode(errors="replace").strip()
        raise UserError(f"{what} did not start: {said or 'no word from it'}") from None
