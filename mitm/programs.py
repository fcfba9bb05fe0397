"""Child processes: each in a group of its own, run to an end, and ended as a whole."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, Self

from mitm.errors import UserError
from mitm.last_words import last_line, last_lines
from mitm.masking import secrets_in

# Seconds that a program has to stop by itself after SIGTERM, before SIGKILL.
GRACE_SECONDS = 3.0

# Seconds that a program has to end by itself once it need not go on: its last words are worth
# waiting for.
PARTING_SECONDS = 0.25

# Seconds that processes which a program leaves behind have to end, too. A shell's pipeline and a
# wrapper's child do so at once.
LINGER_SECONDS = 1.0
_POLL_SECONDS = 0.02

# The variable by which the processes of one run are known, whatever session they move to.
_MARK = "MITM_RUN"
_PROC = Path("/proc")

# A program that prints without end must not fill the memory. A megabyte is some ten thousand of
# the server's lines.
OUTPUT_LIMIT = 1024 * 1024

_READ_SIZE = 65_536


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
        """Wait for a whole line; what there is, if it ends before or is longer than the limit."""
        while b"\n" not in self._kept and not self._ended and len(self._kept) < OUTPUT_LIMIT:
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


class Input:
    """What a program is told on its standard input, a line at a time."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def write(self, line: bytes) -> bool:
        """Write a line; whether all of it was taken.

        A program that has read what came before has room for some 64 KiB; one that has not, or that
        has gone, takes no more.
        """
        try:
            return os.write(self._write_end, line) == len(line)
        except (BlockingIOError, BrokenPipeError):
            return False

    def close(self) -> None:
        """Say that there is no more."""
        os.close(self._write_end)


class _Child:
    """A process that was started, and is waited for; for whatever event loop.

    `subprocess` starts it by vfork(2). libuv has fork(2), which copies the page tables of this
    process, and makes each page dear that is touched after it: some milliseconds a child.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        files: Sequence[int],
        folder: Path | None = None,
    ) -> None:
        stdin, stdout, stderr = files
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=folder,
            # Ctrl-C on the terminal reaches the lab alone, which then ends things in order.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._end = asyncio.get_running_loop().create_future()
        self._watch()

    @property
    def code(self) -> int | None:
        """Its exit code, negative if a signal ended it; None while it runs."""
        return self._end.result() if self._end.done() else None

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        return await asyncio.shield(self._end)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            ended = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # Linux alone has it, from 5.3 on, and not in every sandbox.
            self._wait_in_thread(loop)
            return

        def reap() -> None:
            loop.remove_reader(ended)
            os.close(ended)
            self._tell(self._process.wait())

        loop.add_reader(ended, reap)

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        def wait() -> None:
            code = self._process.wait()
            # The loop may be closed by now.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell, code)

        threading.Thread(target=wait, name="mitm-demo child", daemon=True).start()

    def _tell(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)


class _Running:
    """A program that runs.

    Attributes:
        pid: of the process, which leads a group of its own.
    """

    def __init__(self, process: _Child) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, negative if a signal ended it; None while it runs."""
        return self._process.code

    async def wait(self) -> int:
        """Wait for its end; its exit code, negative if a signal ended it."""
        return await self._process.wait()

    async def end(self) -> None:
        """End it, with the children that it has started and left behind."""
        try:
            if self._process.code is None:
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


class Program(_Running):
    """A program that runs, and whose outputs are read.

    Attributes:
        stdout, stderr: what it writes.
        stdin: what it reads; None if it is given nothing.
    """

    def __init__(
        self, process: _Child, stdout: Output, stderr: Output, stdin: Input | None
    ) -> None:
        super().__init__(process)
        self.stdout = stdout
        self.stderr = stderr
        self.stdin = stdin


@contextlib.asynccontextmanager
async def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    asked: bool = False,
) -> AsyncIterator[Program]:
    """Start a program; when the block ends, so does it, with its children.

    Args:
        command: program and arguments.
        environment: the whole environment.
        folder: where it is started; None for where this is.
        asked: whether it is to be told something on its standard input.

    Raises:
        UserError: the program cannot be started.
    """
    with contextlib.ExitStack() as stack:
        outputs = Output(), Output()
        for output in outputs:
            stack.callback(output.close)
        stdout, stderr = outputs
        stdin = stack.enter_context(contextlib.closing(Input())) if asked else None
        try:
            read_end = stdin.read_end if stdin else subprocess.DEVNULL
            files = read_end, stdout.write_end, stderr.write_end
            process = _start(command, environment, files, folder)
        finally:
            for output in outputs:
                os.close(output.write_end)
            if stdin:
                os.close(stdin.read_end)
        program = Program(process, stdout, stderr, stdin)
        async with _held(program):
            yield program


async def run_openly(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float | None = None,
    *,
    stdout: int = 1,
) -> int | None:
    """Run a program that writes to this one's own outputs; then its group of processes is ended.

    Args:
        command: program and arguments.
        environment: the whole environment.
        seconds: that it is given; None for as long as it takes.
        stdout: the descriptor of its standard output.

    Returns:
        Its exit code, negative if a signal ended it; None if its time was up.

    Raises:
        UserError: the program cannot be started.
    """
    program = _Running(_start(command, environment, (subprocess.DEVNULL, stdout, 2)))
    async with _held(program):
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(program.wait(), seconds)
    return None


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    files: Sequence[int],
    folder: Path | None = None,
) -> _Child:
    try:
        return _Child(command, environment, files, folder)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"cannot start {command[0]}: {reason}") from None


@contextlib.asynccontextmanager
async def _held(program: _Running) -> AsyncIterator[None]:
    """While the block lasts, somebody watches over a program; then it is ended."""
    watch = None
    try:
        watch = _Watch.over(program.pid)
        yield
    finally:
        await asyncio.shield(_end(program, watch))


async def _end(program: _Running, watch: "_Watch | None") -> None:
    try:
        await program.end()
    finally:
        if watch:
            await watch.end()


class _Watch:
    """Sees to it that a program does not outlive this process, whatever ends that: SIGKILL, say.

    A shell that holds the end of a pipe. It reads a line if all has gone well, and finds the end of
    the file if there is nobody left to write one. Linux could signal children of its own accord
    (PR_SET_PDEATHSIG), but not theirs, and others cannot.
    """

    _SCRIPT = 'trap "" HUP INT TERM; read -r line || kill -s KILL -- "-$0"'

    def __init__(self, process: _Child, writer: int) -> None:
        self._process = process
        self._writer = writer

    @classmethod
    def over(cls, group: int) -> Self | None:
        """Watch over a group of processes; None if that cannot be had."""
        try:
            reader, writer = os.pipe()
        except OSError:
            return None
        try:
            script = ("/bin/sh", "-c", cls._SCRIPT, str(group))
            process = _Child(script, {}, (reader, subprocess.DEVNULL, subprocess.DEVNULL))
        except OSError:
            os.close(writer)
            return None
        finally:
            os.close(reader)
        return cls(process, writer)

    async def end(self) -> None:
        """Nothing is left to watch over."""
        with contextlib.suppress(OSError):
            os.write(self._writer, b"\n")
        os.close(self._writer)
        await self._process.wait()


class Ended(NamedTuple):
    """What came of a program that was run.

    Attributes:
        how: `ended` by itself; `stopped` because it was no longer needed; `still-running`: its time
            was up. In the last two cases it has been ended.
        code: its exit code, negative if a signal ended it; None if it had to be ended.
        stdout, stderr: what it has written.
        at: when it was stopped or its time was up, in seconds since the epoch; None if it ended.
        left_behind: names of processes that it has started and that still run.
    """

    how: Literal["ended", "stopped", "still-running"]
    code: int | None
    stdout: bytes
    stderr: bytes
    at: float | None = None
    left_behind: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """How it ended, and the line that says why, whole: secrets are masked before it is cut."""
        if self.code is None:
            how = "still running" if self.how == "still-running" else "stopped"
        elif self.code < 0:
            how = f"ended by {_signal_name(-self.code)}"
        else:
            how = f"exit code {self.code}"
        line = last_line(self.stderr, self.stdout)
        return f"{how}: {line}" if line else how

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last few lines that say something, whole."""
        return last_lines(self.stderr, self.stdout)

    @property
    def crash(self) -> str:
        """What has ended it in the place of its own code: a signal, a panic; "" if nothing has."""
        if self.code is None:
            return ""
        if fault := fault_of(self.code):
            return fault
        if self.code in _PANICS and _PANICS[self.code].search(self.stderr):
            return A_PANIC
        return ""


def fault_of(code: int) -> str:
    """The signal of a fault that has ended a program, by its exit code; "" if none has."""
    # A shell adds 128 to the signal that has ended its command (POSIX, "Exit Status").
    number = -code if code < 0 else code - 128
    return _signal_name(number) if number in _FAULTS else ""


# Signals by which a program dies of a mistake of its own, not of somebody's wish.
_FAULTS = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGTRAP,
}

# A crash that may well be the program's own code: Rust's `unwrap`, Go's `panic`.
A_PANIC = "a panic"

# Exit codes of Go's and Rust's run-time libraries, with what they write then.
_PANICS = {
    2: re.compile(rb"^(panic|fatal error): .*^goroutine \d", re.MULTILINE | re.DOTALL),
    101: re.compile(rb"^thread '.*' .*panicked at ", re.MULTILINE),
}


async def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    enough: asyncio.Event | None = None,
    folder: Path | None = None,
) -> Ended:
    """Run a program to its end, or to that of its time; then its group of processes is ended.

    What it has moved to a session of its own is not ended, but named.

    Args:
        command: program and arguments.
        environment: the whole environment.
        seconds: that it is given.
        enough: when this is set, it need not go on: it is given a moment to end by itself.
        folder: where it is started; None for where this is.

    Raises:
        UserError: the program cannot be started.
    """
    mark = secrets.token_hex(8)
    before = _processes()
    async with started(command, {**environment, _MARK: mark}, folder=folder) as program:
        waiting = asyncio.ensure_future(program.wait())
        stopping = asyncio.ensure_future(enough.wait()) if enough else None
        try:
            await asyncio.wait(
                [waiting, *([stopping] if stopping else [])],
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            stopped = stopping is not None and stopping.done()
            if stopped and not waiting.done():
                await asyncio.wait([waiting], timeout=PARTING_SECONDS)
            at = time.time()
        finally:
            waiting.cancel()
            if stopping:
                stopping.cancel()
        code = program.code
        stdout, stderr = program.stdout.take(), program.stderr.take()
    if code is None:
        return Ended("stopped" if stopped else "still-running", None, stdout, stderr, at)
    return Ended("ended", code, stdout, stderr, left_behind=await _left_behind(mark, before))


async def _left_behind(mark: str, before: set[tuple[str, int]]) -> tuple[str, ...]:
    """The processes with a mark in their environment, if they do not end within a moment.

    Only Linux tells the environment of others; elsewhere none are found.

    Args:
        mark: which.
        before: those that were there before it was given.
    """
    until = time.monotonic() + LINGER_SECONDS
    while (found := _marked(mark, before)) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)
    return tuple(found)


def _processes() -> set[tuple[str, int]]:
    """All processes, by number and inode: a number may come again, and has another inode then."""
    with contextlib.suppress(OSError), os.scandir(_PROC) as entries:
        return {(each.name, each.inode()) for each in entries if each.name.isdecimal()}
    return set()


def _marked(mark: str, before: set[tuple[str, int]]) -> list[str]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for number, _ in _processes() - before:
        path = _PROC / number
        # It may be somebody else's, or gone by now.
        with contextlib.suppress(OSError):
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                name = (path / "comm").read_text(errors="replace").strip()
                found.append(name)
    # Without their numbers, which differ from run to run.
    return sorted(found)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # A real-time signal has none.
        return f"signal {number}"


# The user's password in a URL, and as an option of curl's and wget's.
_IN_URL = re.compile(r"://[^\s/@:]*:([^\s/@]+)@")
_USER_OPTIONS = ("-u", "--user", "--proxy-user")


def secrets_of(words: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """What a program was given as a secret, judged by the names that go with it.

    Args:
        words: its command line: `--token T`, `--api-key=T`, `-H 'authorization: Bearer T'`,
            `-u user:T`, `https://user:T@host`.
        environment: its variables: `API_TOKEN=T`.
    """
    named = list(environment.items())
    named += pairwise(words)
    for word in words:
        # `--header=x-api-key: T` names it in the middle.
        parts = re.split(r"[:=]", word)
        for number, name in enumerate(parts[:-1]):
            named.append((name, word[len("=".join(parts[: number + 1])) + 1 :].strip(" \"'{}[],")))
    for option, value in pairwise(words):
        if option in _USER_OPTIONS:
            named.append(("password", value.partition(":")[2]))
    for text in (*words, *environment.values()):
        named += [("password", password) for password in _IN_URL.findall(text)]
    return {secret for name, value in named for secret in secrets_in(name, value)}
