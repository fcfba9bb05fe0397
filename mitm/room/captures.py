"""What is recorded of one playing: packets, TLS secrets, events; for whoever played it."""

import contextlib
from pathlib import Path

from mitm.capture import JsonLines, Recorder
from mitm.events import Event

EVENTS, PACKETS, SECRETS = "events.jsonl", "packets.pcapng", "secrets.keys"
NAMES = (PACKETS, SECRETS, EVENTS)


class Captures:
    """Records a playing into a folder of its own.

    Args:
        folder: that is there, readable by its owner alone.

    Raises:
        UserError: a file cannot be made.

    Attributes:
        tap: for the interceptor.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with contextlib.ExitStack() as opened:
            self._events = JsonLines(folder / EVENTS)
            opened.callback(self._events.close)
            self.tap = Recorder(folder / PACKETS, folder / SECRETS)
            opened.callback(self.tap.close)
            self._opened = opened.pop_all()

    def __call__(self, event: Event) -> None:
        """Record an event."""
        self._events(event)

    def close(self) -> None:
        """Write what waits: from now on they are whole."""
        self._opened.close()

    @property
    def losses(self) -> list[str]:
        """What could not be written and why, a line for each file."""
        return [loss for loss in (self._events.loss, *self.tap.losses) if loss]
