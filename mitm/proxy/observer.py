"""Whoever looks on: what goes wrong with an observer is its own, and nobody else's verdict.

A console, a log, a recorder or a callback is called from the middle of a connection. An error of
theirs must neither end that connection nor be taken for something that a peer did.
"""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from mitm.events import Event

LOGGER = logging.getLogger("mitm")


class Losses:
    """Counts what observers have failed at, and tells of each observer once.

    Args:
        on_loss: is given the line that tells of it.

    Attributes:
        count: how often an observer has failed.
    """

    def __init__(self, on_loss: Callable[[str], None]) -> None:
        self._on_loss = on_loss
        self._told: set[str] = set()
        self.count = 0

    def add(self, observer: str, error: Exception) -> None:
        """Count an error, and tell of it if it is the observer's first.

        Args:
            observer: who has failed, in words.
            error: what it has raised.
        """
        self.count += 1
        if observer in self._told:
            return
        self._told.add(observer)
        # The error's text may quote what a peer has sent.
        what = f"{observer} has failed: {type(error).__name__}{_place(error)}"
        # Nobody is left to tell of an error in the telling.
        with contextlib.suppress(Exception):
            self._on_loss(f"{what}; the relay goes on, and what it shows may lack something")


class GuardedObserver:
    """Hands events to whoever wants them; each of them, whatever became of those before.

    Args:
        on_event: called with each event.
        losses: counts what it raises.
    """

    def __init__(self, on_event: Callable[[Event], None], losses: Losses) -> None:
        self._on_event = on_event
        self._losses = losses

    def __call__(self, event: Event) -> None:
        """Hand over one event."""
        try:
            self._on_event(event)
        except Exception as error:
            self._losses.add("an observer of the events", error)


def _place(error: Exception) -> str:
    """Where it was raised, as ` in console.py, line 123`."""
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next:
        traceback = traceback.tb_next
    return f" in {Path(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
