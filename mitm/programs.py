"""Programs that the lab starts: each in a process group of its own, ended as a whole."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise

from mitm.errors import UserError
from mitm.masking import secrets_in

# Seconds that a program has to stop by itself after SIGTERM, before SIGKILL.
GRACE_SECONDS = 3.0

# A program that prints without end must not fill the memory. A megabyte is some ten thousand of
# the server's lines.
OUTPUT_LIMIT = 1024 * 1024

_READ_SIZE = 65_536

# Characters of a line that fit a report.
_LINE_LENGTH = 200


class Output:
    """What a program writes to one of its streams, read as it comes.

    A pipe of our own: asyncio considers a program as running until its pipes are closed, and a
    child that it has left behind may hold them open for ever.
    """

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._kept = bytearray()
        self._ended = False
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._read_end, self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._read_end, _READ_SIZE):
                self._kept += data[: OUTPUT_LIMIT - len(self._kept)]
            self._ended = True
            asyncio.get_running_loop().remove_reader(self._read_end)
        self._news.set()

    async def first_line(self) -> bytes:
        """Wait for a whole line; what there is at the end, if it ends before."""
        while b"\n" not in self._kept and not self._ended:
            self._news.clear()
            await self._news.wait()
        line, newline, rest = self._kept.partition(b"\n")
        self._kept = rest
        return bytes(line + newline)

    def take(self) -> bytes:
        """All that has been written since the last time, up to the limit.

        Once a program has exited, this misses nothing of what it wrote.
        """
        if not self._ended:
            self._read()
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    def close(self) -> None:
        """Let go of the pipe."""
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)


class Program:
    """A program that runs.

    Attributes:
        pid: of the process, which leads a group of its own.
        stdout, stderr: what it writes.
    """

    def __init__(self, process: asyncio.subprocess.Process, stdout: Output, stderr: Output) -> None:
        self._process = process
        self.pid = process.pid
        self.stdout = stdout
        self.stderr = stderr

    async def wait(self) -> int:
        """Wait for its end; its exit code, negative if a signal ended it."""
        return await self._process.wait()

    async def end(self) -> None:
        """End it, with the children that it has started and left behind."""
        try:
            if self._process.returncode is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        finally:
            # Also if a second Ctrl-C has no patience with it.
            self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@contextlib.asynccontextmanager
async def started(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Start a program; when the block ends, so does it, with its children.

    Args:
        command: program and arguments.
        environment: the whole environment.

    Raises:
        UserError: the program cannot be started.
    """
    with contextlib.ExitStack() as stack:
        outputs = Output(), Output()
        for output in outputs:
            stack.callback(output.close)
        stdout, stderr = outputs
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout.write_end,
                stderr=stderr.write_end,
                # uvloop takes nothing but a dict.
                env=dict(environment),
                # Ctrl-C on the terminal reaches the lab alone, which then ends things in order.
                start_new_session=True,
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UserError(f"cannot start {command[0]}: {reason}") from None
        finally:
            for output in outputs:
                os.close(output.write_end)
        program = Program(process, stdout, stderr)
        try:
            yield program
        finally:
            await asyncio.shield(program.end())


def last_line(output: bytes) -> str:
    """The last line of what a program printed, cut at a length that fits a report."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:_LINE_LENGTH] if lines else ""


def secrets_of(words: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """What a program was given as a secret, judged by the names that go with it.

    Args:
        words: its command line: `--token T`, `--api-key=T`, `-H 'authorization: Bearer T'`.
        environment: its variables: `API_TOKEN=T`.
    """
    named = list(environment.items())
    named += pairwise(words)
    for word in words:
        name, separator, value = re.sub(r"[:=]", "\0", word, count=1).partition("\0")
        if separator:
            named.append((name, value.strip()))
    return {secret for name, value in named for secret in secrets_in(name, value)}
