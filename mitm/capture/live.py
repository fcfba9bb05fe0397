"""What is shown while it happens, on a terminal no more of it than somebody can read."""

import asyncio
import time
from collections import deque

from mitm.capture.console import EventLines
from mitm.capture.line_writer import LineWriter
from mitm.capture.wording import Mood
from mitm.events import Event

# Lines that a terminal is given in a second: ten screens of fifty rows. Nobody reads so fast, and
# whoever scrolls back still finds what a class does at once.
LINES_A_SECOND = 500

# What is shown of the events that were left out: the newest, not a screenful of lines.
_NEWEST = 10

# Bytes that may wait for a terminal. It has been paused (Ctrl-S), or it is slow; whoever goes on
# with it wants what happens then.
_BEHIND = 256 * 1024


class LiveView:
    """Shows events as lines, and lines of our own among them.

    Args:
        lines: makes them.
        writer: takes them.
        paced: whether a person reads them as they come, on a terminal. What is more than can be
            read is then left out, and counted in a line.
        elsewhere: where everything is, in the words of that line.
    """

    def __init__(
        self, lines: EventLines, writer: LineWriter, *, paced: bool, elsewhere: str
    ) -> None:
        self._lines = lines
        self._writer = writer
        self._paced = paced
        self._elsewhere = elsewhere
        self._second = 0.0
        self._shown = 0
        self._left_out = 0
        self._newest: deque[Event] = deque(maxlen=_NEWEST)

    def __call__(self, event: Event) -> None:
        """Show an event, if it is one to show; or count it."""
        if self._left_out:
            self._leave_out(event)
        elif not self._paced or self._there_is_room():
            if text := self._lines.of(event):
                self._shown += text.count("\n")
                self._writer(text)
        elif self._leave_out(event):
            asyncio.get_running_loop().call_later(1, self._go_on)

    def say(self, text: str, mood: Mood) -> None:
        """Show a line of our own, whatever comes; see `EventLines.said`."""
        # What is older is not shown below it.
        self._newest.clear()
        self._writer(self._lines.said(text, mood))

    def close(self) -> None:
        """Say what was left out since it was said last."""
        if self._left_out:
            self._tell()

    def _there_is_room(self) -> bool:
        now = time.monotonic()
        if now - self._second >= 1:
            self._second, self._shown = now, 0
        return self._shown < LINES_A_SECOND and self._writer.waiting < _BEHIND

    def _leave_out(self, event: Event) -> int:
        if count := self._lines.count(event):
            self._left_out += count
            self._newest.append(event)
        return count

    def _go_on(self) -> None:
        if self._writer.waiting < _BEHIND:
            self._tell()
        else:
            asyncio.get_running_loop().call_later(1, self._go_on)

    def _tell(self) -> None:
        newest = "".join(map(self._lines.of, self._newest))
        count = self._left_out - sum(map(self._lines.count, self._newest))
        self._left_out = 0
        self._newest.clear()
        if count:
            left_out = f"… {count:,} lines left out; {self._elsewhere}"
            self._writer(self._lines.said(left_out, "quiet"))
        self._writer(newest)
