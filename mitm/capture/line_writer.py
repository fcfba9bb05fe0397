"""Lines on their way to a terminal, a pipe or a file: whoever has them never waits for it."""

import asyncio
import queue
import threading
from collections.abc import Callable

# Seconds for which lines are gathered that are written together: nobody sees so short a time, and
# each batch costs as much as some lines.
TOGETHER_SECONDS = 0.005

# Characters that are gathered at most.
_BATCH = 65_536

# Bytes that wait for whoever takes them, some half a million lines. A pipe itself holds 64 KiB
# (pipe(7)), and a reader that was stopped must not fill the memory.
WAITING_LIMIT = 64 * 1024 * 1024

# Seconds at the end in which something must be taken of what waits; a terminal may be paused
# (Ctrl-S), and Ctrl-C is to end the program.
STUCK_SECONDS = 2.0


class LineWriter:
    """Writes lines in batches, in their order, from a thread of its own.

    The thread does nothing else: it needs the interpreter only to take the next batch. What is too
    much to wait is left out, counted, and told in its place.

    Args:
        write: writes bytes, all of them, and may take its time.
        encode: makes them of text.
        limit: bytes that may wait.

    Attributes:
        lost: how many lines have been left out.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        encode: Callable[[str], bytes] = str.encode,
        limit: int = WAITING_LIMIT,
    ) -> None:
        self._write = write
        self._encode = encode
        self._limit = limit
        self._gathered: list[str] = []
        self._size = 0
        self._batches: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        # Each is changed by one thread alone.
        self._given = self._taken = 0
        self._lines_given = self._lines_taken = 0
        self._untold = 0
        self.lost = 0
        # Python 3.11 takes a thread for ended when its `join` was interrupted.
        self._done = threading.Event()
        threading.Thread(target=self._write_all, name="lines", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Bytes that have not been taken yet."""
        return self._given - self._taken

    def __call__(self, text: str) -> None:
        """Write lines, within some milliseconds."""
        self._gathered.append(text)
        self._size += len(text)
        if len(self._gathered) == 1:
            try:
                asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._flush)
            except RuntimeError:
                self._flush()
        elif self._size > _BATCH:
            self._flush()

    def _flush(self) -> None:
        """Hand over what is gathered, if there is room for it."""
        if not self._gathered:
            return
        text = "".join(self._gathered)
        self._gathered.clear()
        self._size = 0
        lines = text.count("\n")
        if self._untold:
            text = self._left_out() + text
        data = self._encode(text)
        if self.waiting + len(data) > self._limit:
            self._untold += lines
            self.lost += lines
            return
        self._untold = 0
        self._hand_over(data, lines)

    def _hand_over(self, data: bytes, lines: int) -> None:
        self._given += len(data)
        self._lines_given += lines
        self._batches.put((data, lines))

    def _left_out(self) -> str:
        return f"… {self._untold:,} lines left out: nobody took them in time\n"

    def _write_all(self) -> None:
        while batch := self._batches.get():
            data, lines = batch
            self._write(data)
            self._taken += len(data)
            self._lines_taken += lines
        self._done.set()

    def close(self) -> bool:
        """Write what is left, for as long as somebody takes it.

        Returns:
            Whether all was taken; if not, what was not is counted in `lost`.
        """
        self._flush()
        if self._untold:
            self._hand_over(self._encode(self._left_out()), 0)
        self._batches.put(None)
        taken = -1
        try:
            while not self._done.is_set() and taken != self._taken:
                taken = self._taken
                self._done.wait(STUCK_SECONDS)
        finally:
            # Whoever presses Ctrl-C once more will not wait, and what is lost is lost all the same.
            if not self._done.is_set():
                self.lost += self._lines_given - self._lines_taken
        return self._done.is_set()
