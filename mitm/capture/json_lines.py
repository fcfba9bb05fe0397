"""Events as JSON lines: one object an event, on disk as it happens."""

import asyncio
from pathlib import Path

import msgspec

from mitm.capture.private_file import PrivateFile
from mitm.events import Event
from mitm.masking import as_json

# Bytes that are gathered for one write, at most.
_BATCH = 65_536


class JsonLines(PrivateFile):
    """A file of events, readable by its owner alone: it holds what was decrypted, unmasked.

    A write costs more than an event. In an event loop, those of one moment are written together,
    before any task that waits goes on. Without a loop, each is written at once.

    Args:
        path: of the file, which is written anew.
        limit: bytes that it may have; None for any number.

    Raises:
        UserError: the file cannot be made.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        super().__init__(path, "events", limit)
        self._encode = msgspec.json.Encoder().encode_into
        self._lines = bytearray()
        self._gathered = 0

    def __call__(self, event: Event) -> None:
        """Write one event, now or with those of the same moment."""
        before = len(self._lines)
        try:
            self._encode(event, self._lines, -1)
        except (ValueError, RecursionError):
            # Half a surrogate pair, say, or what is nested too deep.
            del self._lines[before:]
            self._lines += as_json(msgspec.to_builtins(event)).encode()
        self._lines += b"\n"
        self._gathered += 1
        if self._gathered == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:
                self._write()
        elif len(self._lines) > _BATCH:
            self._write()

    def _write(self) -> None:
        if self._gathered:
            self.append(self._lines, self._gathered)
            self._lines.clear()
            self._gathered = 0

    def close(self) -> None:
        """Write what was gathered, and close the file."""
        self._write()
        super().close()
