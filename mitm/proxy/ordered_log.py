"""Events from several sources, as one log in order of time."""

import time
from collections import deque
from collections.abc import Callable, Collection

from mitm.events import Event

# Seconds after which the log no longer waits for a source that gives no sign of life. Its events
# may then come late, and out of order.
PATIENCE = 1.0


class OrderedLog:
    """Passes events on, ordered by time.

    A source tells its events in an order that is kept, and with each word the time up to which it
    has told everything. What is older than the earliest of those times is passed on.

    Args:
        count: of the sources, which are numbered from 0.
        on_event: is told of each event.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        count: int,
        on_event: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._on_event = on_event
        self._clock = clock
        self._told: list[deque[Event]] = [deque() for _ in range(count)]
        self._marks = dict.fromkeys(range(count), 0.0)

    def add(self, source: int, mark: float, told: Collection[Event] = ()) -> None:
        """Take what a source tells.

        Args:
            source: which.
            mark: nothing that it tells later has happened before this time.
            told: its events.
        """
        self._marks[source] = mark
        self._told[source].extend(told)
        self._pass_on()

    def end(self, source: int) -> None:
        """Wait no more for a source: it has told everything."""
        del self._marks[source]
        self._pass_on()

    def _pass_on(self) -> None:
        certain = float("inf")
        if self._marks:
            certain = max(min(self._marks.values()), self._clock() - PATIENCE)
        while sources := [told for told in self._told if told]:
            sources.sort(key=lambda told: told[0].time)
            first, *others = sources
            # One source mostly tells of many events in a row: they need not be sorted one by one.
            until = min([certain, *(told[0].time for told in others[:1])])
            if first[0].time > until:
                return
            while first and first[0].time <= until:
                self._on_event(first.popleft())
