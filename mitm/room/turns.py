"""Whose turn it is: so many at once, the others one after the other, each told its place."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """Lets in so many at once, and whoever comes first first.

    Args:
        at_once: how many.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: deque[tuple[asyncio.Event, Callable[[int], None]]] = deque()

    @asynccontextmanager
    async def taken(self, on_place: Callable[[int], None]) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the block lasts.

        Args:
            on_place: told how many come before, from then on each time that there are fewer; not if
                there is no wait.
        """
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._wait(on_place)
        try:
            yield
        finally:
            self._free += 1
            self._move_on()

    async def _wait(self, on_place: Callable[[int], None]) -> None:
        mine = asyncio.Event(), on_place
        self._waiting.append(mine)
        on_place(len(self._waiting) - 1)
        try:
            await mine[0].wait()
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
                self._tell()
            else:
                # It was given away in the same moment.
                self._free += 1
                self._move_on()
            raise

    def _move_on(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            turn, _ = self._waiting.popleft()
            turn.set()
        self._tell()

    def _tell(self) -> None:
        for place, (_, on_place) in enumerate(self._waiting):
            on_place(place)
