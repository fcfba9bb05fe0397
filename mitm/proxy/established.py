"""Drives the relay of a connection whose peers are greeted; nothing in between waits.

The event loop calls with what a peer has sent. It goes to the relay, what is due is written at
once, and then it is looked at, in turns with the other connections. Neither peer is read on while
there is something left to look at; and none while the other one has not taken what it was given.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from mitm import events
from mitm.events import Direction
from mitm.proxy.ending import Emit, EndError, end_of
from mitm.proxy.peer import Peer
from mitm.proxy.relay import Relay
from mitm.proxy.treatment import Interruption

# Seconds for which the events of one connection are told before the others have their turn. A DATA
# frame of 16 KiB can bring three thousand of them.
TURN_SECONDS = 0.002

_OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}


class Established:
    """One connection, from here to the end of both directions.

    Args:
        relay: says what is due to whom.
        client, server: the peers.
        emit: is told how they end.
        interruption: what is to happen to the client in the middle; None for nothing.
        left_alone: why nothing is changed here that was to be; "" if that is not so.

    Attributes:
        first_end: how the peer ended that ended first; None while neither has.
    """

    def __init__(
        self,
        relay: Relay,
        client: Peer,
        server: Peer,
        emit: Emit,
        interruption: Interruption | None = None,
        left_alone: str = "",
    ) -> None:
        self._relay = relay
        self._peers: dict[Direction, Peer] = {"client": client, "server": server}
        self._emit = emit
        self._interruption = interruption
        self._left_alone = left_alone
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._behind = False  # there is something left to look at
        self._ends: deque[Direction] = deque()  # that are known, and told after that
        self._ended: set[Direction] = set()  # that are told
        self._reads: dict[Direction, bool] = {}
        self._moment = False  # of the interruption has come, and is told after that
        self._cuts = False  # the client is reset once it has taken what it was given
        self.first_end: EndError | None = None

    async def run(self) -> None:
        """Relay until both directions have ended.

        Raises:
            EndError: the connection has ended as a whole.
        """
        self._pass_on()
        try:
            for direction, peer in self._peers.items():
                peer.hand_on(_Ears(self, direction))
                # Of two who have both left by now, the client has the first word: the loop may
                # have read what the server said last, and of the client not yet that it is gone.
                await asyncio.sleep(0)
            self._reads.clear()  # one of them may have said enough for a while
            self._read_on()
            await self._over
        finally:
            if not self._over.cancel() and not self._over.cancelled():
                # It may be stopped in the moment in which it fails.
                self._over.exception()
            self._relay.look()

    def fail(self, error: Exception) -> None:
        """End the connection as a whole."""
        if not self._over.done():
            self._over.set_exception(error)

    # What happens to a peer

    def received(self, direction: Direction, data: bytes) -> None:
        """It has sent bytes; none, to have those looked at that it sent before."""
        if self._over.done():
            return
        peer = self._peers[direction]
        said = peer.take(data)
        if said:
            if self._interruption and direction == "server":
                said = self._interrupted(self._interruption, said)
            self._relay.received(direction, said)
            self._pass_on()
        if peer.end:
            self._note_end(direction)
        self._go_on(direction)
        if peer.stalled:
            self._read_on()

    def ended(self, direction: Direction, reset: bool) -> None:
        """It has ended its direction; or the connection, by a reset."""
        if self._over.done():
            return
        if direction in self._ended and reset:
            self.lost(direction)
            return
        self._peers[direction].ended(reset=reset)
        self._note_end(direction)
        self._go_on(direction)

    def lost(self, direction: Direction) -> None:
        """It has ended its direction before, and takes nothing any more either."""
        if not self._over.done():
            self._relay.lost(direction)
            self._pass_on()

    def taken(self, direction: Direction) -> None:
        """It has taken what it was given."""
        if not self._over.done():
            self._relay.taken(direction)
            self._cut()
            self._read_on()

    def _note_end(self, direction: Direction) -> None:
        if direction not in self._ended and direction not in self._ends:
            self._ends.append(direction)

    # What comes of it

    def _pass_on(self) -> None:
        """Write what is due to both peers."""
        for to, data, end in self._relay.to_send():
            peer = self._peers[to]
            if data:
                peer.send(data)
            if not peer.full:
                self._relay.taken(to)
            if end == "reset":
                peer.reset()
            elif end:
                # In plaintext a FIN is all there is to say so.
                plaintext = self._peers[_OTHER[to]].tls is None
                peer.send_end(notify=end == "close-notify" or plaintext)

    def _go_on(self, speaker: Direction) -> None:
        """Look at what was passed on, and then go on to what comes after it."""
        if self._behind:
            return
        while self._caught_up(speaker):
            self._tell(speaker)
            if self._over.done():
                return
            if not self._ends:
                break
            self._end(self._ends.popleft())
        if self._behind or self._relay.waits or not all(self._reads.values()):
            self._read_on()

    def _caught_up(self, speaker: Direction) -> bool:
        """Look for one turn; whether there is nothing left after it."""
        # The loop's own clock stands still for as long as a callback takes.
        until = time.monotonic() + TURN_SECONDS
        self._behind = self._relay.look(lambda: time.monotonic() >= until)
        if self._behind:
            self._loop.call_soon(self._take_turn, speaker)
        return not self._behind

    def _take_turn(self, speaker: Direction) -> None:
        self._behind = False
        if not self._over.done():
            try:
                self._go_on(speaker)
            except Exception as error:
                self.fail(error)

    def _tell(self, speaker: Direction) -> None:
        """Tell what is done here besides relaying."""
        if self._moment and self._interruption:
            self._moment = False
            self._emit(events.Interrupted, how=self._interruption.how)
            # A GOAWAY has been sent with the answer.
            self._cuts = self._interruption.how != "goaway"
            self._cut()
            self._read_on()
        if self._left_alone:
            reason, self._left_alone = self._left_alone, ""
            self._emit(events.NotRewritten, direction=speaker, stream=0, reason=reason)
        if self._relay.broken:
            self.first_end = self.first_end or EndError("attacker", "error", self._relay.broken)
        if self._relay.failed and self.first_end:
            self.fail(self.first_end)
        elif len(self._ended) == len(self._peers) and not self._over.done():
            self._over.set_result(None)

    def _end(self, direction: Direction) -> None:
        """Tell how a peer has ended, and end the other one likewise."""
        peer = self._peers[direction]
        end = end_of(direction, peer, self._emit)
        self.first_end = self.first_end or end
        self._ended.add(direction)
        assert peer.end
        self._relay.ended(direction, peer.end)
        self._pass_on()

    def _read_on(self) -> None:
        """Have both peers read, or not."""
        for direction, peer in self._peers.items():
            reads = not (self._behind or self._cuts or peer.stalled)
            reads = reads and self._relay.wants_pause(direction) is None
            if self._reads.get(direction) is not reads:
                self._reads[direction] = reads
                peer.resume() if reads else peer.pause()

    def _interrupted(self, interruption: Interruption, data: bytes) -> bytes:
        """What the client is given of what the server has sent."""
        was_due = interruption.due
        data = interruption.passes(data)
        self._moment |= interruption.due and not was_due
        return data

    def _cut(self) -> None:
        """Reset the client in the middle, behind what it was given."""
        client = self._peers["client"]
        if self._cuts and not client.full:
            client.reset()
            self.first_end = EndError("attacker", "reset")
            self.fail(self.first_end)


class _Ears:
    """Tells a connection what happens to one of its peers; an error is the connection's."""

    def __init__(self, established: Established, direction: Direction) -> None:
        self._established = established
        self._direction: Direction = direction

    def received(self, data: bytes) -> None:
        self._tell(self._established.received, data)

    def ended(self, *, reset: bool) -> None:
        self._tell(self._established.ended, reset)

    def lost(self) -> None:
        self._tell(self._established.lost)

    def taken(self) -> None:
        self._tell(self._established.taken)

    def _tell(self, what: Callable[..., None], *said: object) -> None:
        try:
            what(self._direction, *said)
        except Exception as error:
            self._established.fail(error)
