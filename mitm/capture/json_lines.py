"""Events as JSON lines: one object an event, on disk as it happens."""

from pathlib import Path

import msgspec

from mitm.capture.private_file import PrivateFile
from mitm.events import Event


class JsonLines(PrivateFile):
    """A file of events, readable by its owner alone: it holds what was decrypted, unmasked.

    Args:
        path: of the file, which is written anew.

    Raises:
        UserError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "events")
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self.append(self._encode(event) + b"\n")
