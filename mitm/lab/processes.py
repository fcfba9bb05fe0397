"""Programs that the lab starts: each in a process group of its own, ended as a whole."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence

from mitm.errors import UserError

# Seconds that a program has to stop by itself after SIGTERM, before SIGKILL.
GRACE = 3.0

# A program that prints without end must not fill the memory.
OUTPUT_LIMIT = 65_536


@contextlib.asynccontextmanager
async def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: int = asyncio.subprocess.PIPE,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program with piped output; when the block ends, so does it, with its children.

    Args:
        command: program and arguments.
        environment: the whole environment.
        output: a file descriptor for its standard output, in place of `process.stdout`.

    Raises:
        UserError: the program cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.PIPE,
            # uvloop takes nothing but a dict.
            env=dict(environment),
            # Ctrl-C on the terminal reaches the lab alone, which then ends things in order.
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"cannot start {command[0]}: {error.strerror}") from None
    try:
        yield process
    finally:
        await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    # Also what the program itself has started and left behind.
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()
    # asyncio closes the pipes of a program only when they are read to their end.
    transport = process._transport  # type: ignore[attr-defined]
    transport.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


async def read_all(stream: asyncio.StreamReader) -> bytes:
    """Read to the end; what is beyond the output limit is dropped."""
    kept = bytearray()
    while data := await stream.read(OUTPUT_LIMIT):
        kept += data[: OUTPUT_LIMIT - len(kept)]
    return bytes(kept)
