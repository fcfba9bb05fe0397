"""The victim server as a process, and its own record of calls."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from mitm import content
from mitm.address import Address, parse
from mitm.errors import UserError
from mitm.lab.processes import read_all, started
from mitm.verdict import ServerCall

START_LIMIT = 15.0  # seconds; it takes half of one


class RunningServer:
    """A server that listens.

    Attributes:
        address: where, with the real port.
    """

    def __init__(self, address: Address, output: int) -> None:
        self.address = address
        self._output = output
        self._unread = b""

    def take_calls(self) -> tuple[ServerCall, ...]:
        """The calls recorded since the last time.

        The server writes its line before the client can see the end of the call. So once a client
        has exited, its lines are in the pipe, and reading until it is empty misses none.
        """
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output, 65_536):
                self._unread += data
        *lines, self._unread = self._unread.split(b"\n")
        return tuple(msgspec.json.decode(line, type=ServerCall) for line in lines)


@contextlib.asynccontextmanager
async def running_server(cert: Path | None, key: Path | None) -> AsyncIterator[RunningServer]:
    """Start the server on loopback, and stop it when the block ends.

    Args:
        cert: its chain, a PEM file; None for plaintext.
        key: the key to it.

    Raises:
        UserError: it does not come up.
    """
    command = [sys.executable, str(content.SERVER), "--listen", "127.0.0.1:0"]
    if cert and key:
        command += ["--cert", str(cert), "--key", str(key)]
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(read_end, False)
        async with started(command, os.environ, write_end) as process:
            os.close(write_end)
            write_end = -1
            assert process.stderr
            # Standard error is read all along: a full pipe would stop the server.
            errors = asyncio.create_task(read_all(process.stderr))
            try:
                async with asyncio.timeout(START_LIMIT):
                    line = await _first_line(read_end)
                address = parse(json.loads(line)["listening"])
            except (TimeoutError, ValueError, KeyError):
                said = (await errors).decode(errors="replace").strip()
                raise UserError(f"the server did not start: {said or 'no word from it'}") from None
            yield RunningServer(address, read_end)
            errors.cancel()
    finally:
        os.close(read_end)
        if write_end != -1:
            os.close(write_end)


async def _first_line(descriptor: int) -> bytes:
    """Wait for a whole line on a pipe; what there is at its end, if it ends before."""
    loop = asyncio.get_running_loop()
    line = b""
    while not line.endswith(b"\n"):
        readable = asyncio.Event()
        loop.add_reader(descriptor, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(descriptor)
        data = os.read(descriptor, 1)
        if not data:
            break
        line += data
    return line
