"""Events as JSON lines: one object an event, on disk as it happens."""

import contextlib
import os
import stat
from pathlib import Path

import msgspec

from mitm.errors import UserError
from mitm.events import Event


class JsonLines:
    """A file of events, readable by its owner alone: it holds what was decrypted, unmasked.

    Raises:
        UserError: the file cannot be made.

    Attributes:
        lost: events that could not be written (disk full, say). The relay goes on without them.
    """

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            # A file that was there keeps its mode; a device (/dev/stdout) is not ours to change.
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise UserError(f"cannot write events to {path}: {error.strerror}") from None
        # No buffer of our own: a line is on its way to the disk when the call returns.
        self._descriptor = descriptor
        self._encode = msgspec.json.Encoder().encode
        self._whole_lines = 0
        self.lost = 0

    def __call__(self, event: Event) -> None:
        """Write one event."""
        line = self._encode(event) + b"\n"
        rest = line
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._whole_lines += len(line)
        except OSError:
            self.lost += 1
            # The disk may have had room for half of it, and may have room again for the next. What
            # is no regular file cannot be taken back.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._whole_lines)
                os.lseek(self._descriptor, self._whole_lines, os.SEEK_SET)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
