"""How many runs of a client there are at once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# Runs that may wait beside those that work. A client that has been refused waits a second before it
# tries again, and longer each time (gRPC's connection back-off): a core that waits with it is idle.
# No more, since some are at work again soon: a JVM takes seconds of two cores to start.
WAITING = 6


def cores() -> int:
    """The cores that this process may use, which in a container are not all that there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Slots:
    """Room for runs of a client.

    Args:
        at_once: how many may be at work.
        waiting: how many more there may be of those that have been refused, and try again.
    """

    def __init__(self, at_once: int, waiting: int = 0) -> None:
        self._working = asyncio.Semaphore(at_once)
        self._all = asyncio.Semaphore(at_once + waiting)
        self._may_wait = waiting > 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Callable[[], None]]:
        """Room for one, while the block lasts; what is given is called once it only waits."""
        async with self._all:
            await self._working.acquire()
            holds = True

            def give_way() -> None:
                nonlocal holds
                if holds and self._may_wait:
                    holds = False
                    self._working.release()

            try:
                yield give_way
            finally:
                if holds:
                    self._working.release()
