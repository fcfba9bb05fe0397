"""What is recorded of one playing, or of one's own client: packets, TLS secrets, events."""

import contextlib
from pathlib import Path

from mitm.capture import JsonLines, Recorder
from mitm.capture.wording import one_line
from mitm.events import Event

EVENTS, PACKETS, SECRETS = "events.jsonl", "packets.pcapng", "secrets.keys"
NAMES = (PACKETS, SECRETS, EVENTS)

# Bytes of each file. One's own client may go on for hours.
LIMIT = 16 * 1024 * 1024


class Captures:
    """Records connections into a folder of its own.

    Args:
        folder: that is there, readable by its owner alone.
        limit: bytes that each file may have.

    Raises:
        UserError: a file cannot be made.

    Attributes:
        tap: for the interceptor.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        with contextlib.ExitStack() as opened:
            self._events = JsonLines(folder / EVENTS, limit)
            opened.callback(self._events.close)
            self.tap = Recorder(folder / PACKETS, folder / SECRETS, limit)
            opened.callback(self.tap.close)
            self._opened = opened.pop_all()

    def __call__(self, event: Event) -> None:
        """Record an event."""
        self._events(event)

    def close(self) -> None:
        """Write what waits: from now on they are whole."""
        self._opened.close()

    @property
    def losses(self) -> tuple[str, ...]:
        """What could not be written and why, a line for each file."""
        return tuple(one_line(loss) for loss in (self._events.loss, *self.tap.losses) if loss)


def file_in(folder: Path | None, name: str) -> Path | None:
    """A file of what was recorded; None if there is none.

    Args:
        folder: that it was recorded into; None for nothing recorded.
        name: as somebody has asked for it.
    """
    if folder is None or name not in NAMES:
        return None
    path = folder / name
    return path if path.is_file() else None
