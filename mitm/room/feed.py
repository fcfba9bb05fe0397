"""What a page is told, in order, kept for pages that come later: bounded, and never waited for."""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from typing import Literal

Part = Literal["stage", "listening", "own", "class"]

# Records of a part that are kept. A leg has some fifty; a client in a loop has any number, of which
# the latest are worth a look, and where it is listened for as well.
_KEPT: dict[Part, int] = {"stage": 3000, "listening": 1, "own": 600, "class": 1}


class Feed:
    """Records for the pages of one seat.

    A page says which record it has seen last, and is given those after it. Whoever appends does not
    wait for anybody: a page that is slow misses the oldest.
    """

    def __init__(self) -> None:
        self._parts: dict[Part, deque[tuple[int, bytes]]] = {
            part: deque(maxlen=kept) for part, kept in _KEPT.items()
        }
        self._last = 0
        self._news = asyncio.Event()
        self.closed = False

    def begin(self, part: Part) -> None:
        """Forget the records of a part: something new begins there."""
        self._parts[part].clear()

    def append(self, part: Part, record: bytes) -> None:
        """Add a record, which is a line of JSON."""
        self._last += 1
        self._parts[part].append((self._last, record))
        self._tell()

    def close(self) -> None:
        """Nothing more will come: whoever waits for news goes."""
        self.closed = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def after(self, number: int) -> list[tuple[int, bytes]]:
        """The records after one, of all parts, in their order.

        Args:
            number: of the last one that was seen, 0 for none. One that is yet to come is of another
                life of this program: all is given.
        """
        if number > self._last:
            number = 0
        return sorted(record for part in self._parts.values() for record in _since(part, number))

    async def news(self, number: int, seconds: float) -> list[tuple[int, bytes]]:
        """Wait for records after one.

        Args:
            number: of the last one that was seen.
            seconds: after which there are none.
        """
        coming = self._news
        if records := self.after(number):
            return records
        if not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await coming.wait()
            except TimeoutError:
                return []
        return self.after(number)


def _since(records: deque[tuple[int, bytes]], number: int) -> Iterator[tuple[int, bytes]]:
    return takewhile(lambda record: record[0] > number, reversed(records))
