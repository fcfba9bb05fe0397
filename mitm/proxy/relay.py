"""What becomes of the bytes and the ends of two peers; without I/O, for watching and for rewriting.

Each direction of a connection is a machine of its own; both are named after who sends.

    open     its sender's bytes are on their way to the receiver.
    ending   the sender has ended it; the end waits behind bytes that wait for the receiver's
             windows. Only where there is rewriting does anything wait.
    ended    the end was given out, and nothing comes after it.

The driver moves them: `received` and `ended` tell what a peer did, `lost` that one takes nothing
any more, `taken` that it has taken what was given out. After each, `to_send` gives what is due,
which the driver writes before it calls `look`. A reset ends both directions at once; so does what
cannot go on, `failed`, of which nothing is passed on: the driver closes both sockets.

What is invariant: while watching, a receiver is given what the sender sent, byte for byte and in
order; nobody is given anything after an end; and everything received is looked at, relayed or not.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from mitm.events import Direction
from mitm.proxy.ending import End
from mitm.proxy.http2_endpoint import BrokenError
from mitm.proxy.rewriting import Rewriting
from mitm.proxy.watcher import Watcher

_OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}


class Due(NamedTuple):
    """What a peer is to be sent.

    Attributes:
        to: which of the two.
        data: application bytes.
        end: how the other peer has ended, which comes after them; None while it has not.
    """

    to: Direction
    data: bytes
    end: Literal["close-notify", "eof", "reset"] | None


class Relay:
    """Stands between the two peers of a connection.

    Args:
        through: looks at what passes, or changes it; None to pass it on unread.

    Attributes:
        broken: why the rewriting cannot go on; "" while it can.
        failed: nothing more can be relayed, in either direction.
    """

    def __init__(self, through: Watcher | Rewriting | None) -> None:
        self._watcher = through if isinstance(through, Watcher) else None
        self._rewriting = through if isinstance(through, Rewriting) else None
        self._due: dict[Direction, bytes] = {"client": b"", "server": b""}
        self._unseen: deque[tuple[Direction, bytes | None]] = deque()
        self._view: Iterator[None] = iter(())  # what is being looked at, as far as it has been
        self._ends: dict[Direction, End] = {}  # how a sender has ended its direction
        self._lost: set[Direction] = set()
        self._closed: set[Direction] = set()  # those who are given nothing any more
        self._full: set[Direction] = set()  # those who have not taken what they were given
        self.broken = ""
        self.failed = False
        if self._rewriting:
            self._view = self._rewriting.tell()
            self._rewriting.start()
            self._gather(self._rewriting)

    def received(self, direction: Direction, data: bytes) -> None:
        """Take bytes from a peer. What comes after its end is no part of anything.

        Args:
            direction: who sent them.
            data: cut anywhere.
        """
        if direction in self._ends or self.failed:
            return
        if self._rewriting:
            try:
                self._rewriting.receive(direction, data)
            except BrokenError as error:
                self.broken = f"the {direction}'s HTTP/2 cannot be changed: {error}"
                self.failed = True
            self._gather(self._rewriting)
            return
        receiver = _OTHER[direction]
        if receiver not in self._closed:
            self._due[receiver] += data
        if self._watcher:
            self._unseen.append((direction, data))

    def _gather(self, rewriting: Rewriting) -> None:
        for party, data in rewriting.to_send().items():
            if party not in self._closed:
                self._due[party] += data

    def ended(self, direction: Direction, how: End) -> None:
        """A peer has ended its direction, or the connection.

        Args:
            direction: which peer.
            how: `alert` and `error` are the end of TLS, and with it of both directions (RFC 8446
                section 6.2).
        """
        if direction in self._ends:
            return
        self._ends[direction] = how
        if self._watcher and how in ("eof", "close-notify"):
            self._unseen.append((direction, None))
        if how in ("alert", "error"):
            self.failed = True
        elif how == "reset":
            self._close(direction)

    def lost(self, party: Direction) -> None:
        """A peer takes nothing any more. How it has ended, `ended` will tell."""
        self._lost.add(party)
        self._close(party)

    def _close(self, party: Direction) -> None:
        self._closed.add(party)
        self._due[party] = b""
        self._full.discard(party)

    def to_send(self) -> list[Due]:
        """Give what is due to each peer, once."""
        due = []
        for party, data in self._due.items():
            end = self._end_for(party) if self._ends or self._lost else None
            if not data and end is None:
                continue
            due.append(Due(party, data, end))
            self._due[party] = b""
            if end:
                self._close(party)
            else:
                self._full.add(party)
        return due

    def _end_for(self, party: Direction) -> Literal["close-notify", "eof", "reset"] | None:
        if party in self._closed:
            return None
        sender = _OTHER[party]
        how = self._ends.get(sender)
        if how == "reset" or sender in self._lost:
            return "reset"
        if how not in ("close-notify", "eof"):
            return None
        # A peer that has ended its own direction opens no window any more.
        if self._rewriting and party not in self._ends and self._rewriting.waits_for(party):
            return None
        return how

    def look(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """Look at what has passed since the last time; to be called once it was written.

        Args:
            enough: asked after each event whether others are to have their turn.

        Returns:
            Whether there may be more to look at.
        """
        while True:
            for _ in self._view:
                if enough():
                    return True
            if not (self._watcher and self._unseen):
                break
            self._view = self._watcher.look(*self._unseen.popleft())
        if self._rewriting:
            self._view = self._rewriting.tell()
        return False

    def wants_pause(self, direction: Direction) -> Direction | None:
        """Who has to take what it was given before this peer is read on: the backpressure.

        Args:
            direction: the peer that would be read.

        Returns:
            The one to be waited for; None if there is no need to.
        """
        receiver = _OTHER[direction]
        if receiver in self._full:
            return receiver
        # With rewriting, whoever sends is answered as well.
        return direction if self._rewriting and direction in self._full else None

    @property
    def waits(self) -> bool:
        """Whether there is anybody who has not taken what it was given."""
        return bool(self._full)

    def taken(self, party: Direction) -> None:
        """A peer has taken all that it was given."""
        self._full.discard(party)
