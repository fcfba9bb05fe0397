"""Events as JSON lines: one object an event, on disk as it happens."""

import os
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
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise UserError(f"cannot write events to {path}: {error.strerror}") from None
        # Unbuffered: a line is whole and on its way to the disk when the call returns.
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._encode = msgspec.json.Encoder().encode
        self.lost = 0

    def __call__(self, event: Event) -> None:
        """Write one event."""
        try:
            self._file.write(self._encode(event) + b"\n")
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()
