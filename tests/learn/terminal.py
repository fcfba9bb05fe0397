"""A program on a terminal of its own, as somebody sits before it."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# Seconds. Generous: the machine may be busy, and what takes longer than this hangs.
LIMIT = 60.0


class Terminal:
    """Runs a program on a terminal, for `with`; it is killed at the end if it still runs."""

    def __init__(self, command: Sequence[str], folder: Path, rows: int = 24, columns: int = 80):
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = os.environ | {"TERM": "dumb", "COLUMNS": str(columns)}
            os.execve(command[0], list(command), environment)  # noqa: S606
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, self._size)
        self.seen = ""
        self._code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def until(self, text: str) -> str:
        """Read until a text comes; what came until then, since the last time."""
        read, ends = "", time.monotonic() + LIMIT
        while text not in read:
            if not select.select([self._terminal], [], [], max(ends - time.monotonic(), 0))[0]:
                raise AssertionError(f"no {text!r} came, but: {self.seen}")
            part = self._read()
            if not part:
                raise AssertionError(f"it ended without {text!r}: {self.seen}")
            read += part
            self.seen += part
        return read

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as a shell wants it."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        while part := self._read():
            self.seen += part
        _, status = os.waitpid(self.pid, 0)
        self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> str:
        try:
            return os.read(self._terminal, 65536).decode(errors="replace")
        except OSError:
            # So Linux says that nobody is at the other end any more.
            return ""
