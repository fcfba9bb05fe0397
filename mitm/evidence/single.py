"""What a client did on one connection, in a line: the verdict that can be told at its end.

A connection by itself has no control, and its client no end: what is told of it is less than of a
run. It is drawn from the same line, see `connection.py`.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from mitm import events
from mitm.events import LEAST, Event
from mitm.evidence.connection import SeenConnection
from mitm.evidence.records import without_a_call
from mitm.masking import holds_secret, masked

# Methods of a connection, and names of credentials, that are kept; and that are shown.
_KEPT = 100
_SHOWN = 3

# Characters of one that are kept.
_NAME_LIMIT = 200

Word = Literal["compromised", "exposed", "aborted", "connected", "inconclusive"]


class SingleVerdict(NamedTuple):
    """What is told of a connection.

    Attributes:
        connection: its number.
        verdict: in the words of a scenario's verdicts. `connected`: data was read over a
            certificate that a correct client accepts, which is nobody's fault.
        reason: why, in a few words; what was read, by names of methods and of credentials. Foreign
            text in it is as it came, without secrets.
    """

    connection: int
    verdict: Word
    reason: str

    def __str__(self) -> str:
        return f"#{self.connection} {self.verdict.upper()}  {self.reason}"


class _Names:
    """A few different names, of which there may be any number."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        if len(self._names) < _KEPT:
            self._names[name if len(name) <= _NAME_LIMIT else name[:_NAME_LIMIT] + "…"] = None

    def __str__(self) -> str:
        names = list(self._names)
        shown = ", ".join(names[:_SHOWN])
        if len(names) == _KEPT:
            return f"{shown} and {_KEPT - _SHOWN} more, at least"
        return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


class _Connection:
    """A connection that goes on, and what was read on it."""

    def __init__(self, number: int) -> None:
        self.seen = SeenConnection(number)
        self.methods = _Names()
        self.credentials = _Names()
        self.tunnelled = ""
        self.blind = False  # what the server sent was not HTTP/2
        self.missed = False  # it was not seen whole
        self._noted: tuple[str, tuple[tuple[str, str], ...]] = "", ()

    def take(self, event: Event) -> None:
        """Take the next event."""
        self.seen.see(event)
        if isinstance(event, events.Headers):
            if event.kind == "request":
                self._read(event)
        elif isinstance(event, events.Tunnelled):
            self.tunnelled = event.name
        elif isinstance(event, events.ParseFailed):
            self.blind |= event.direction == "server" and not event.stream

    def _read(self, request: events.Headers) -> None:
        """Note what a request has given away."""
        # The same as in the request before says nothing new.
        noted = request.method, request.headers
        if noted == self._noted:
            return
        self._noted = noted
        # What is no gRPC may have a query behind its path.
        self.methods.add(masked(":path", request.method).partition("?")[0])
        for name, value in request.headers:
            if not name.startswith(":") and holds_secret(name, value):
                self.credentials.add(name)


class SingleVerdicts:
    """Is given events, one by one, and says of each connection at its end what its client did.

    What it keeps of a connection is bounded, and let go of at its end.

    Args:
        accepted: tells of the name of a certificate whether a correct client accepts it.

    Attributes:
        wanted: the events that this rests on.
    """

    wanted = LEAST

    def __init__(self, accepted: Callable[[str], bool] = lambda certificate: False) -> None:
        self._accepted = accepted
        self._open: dict[int, _Connection] = {}

    def __call__(self, event: Event) -> SingleVerdict | None:
        """Take the next event; the verdict of its connection, if that has ended with it."""
        if isinstance(event, events.Message) or not event.connection:
            return None
        connection = self._open.get(event.connection)
        if connection is None:
            connection = self._open[event.connection] = _Connection(event.connection)
        try:
            connection.take(event)
        except Exception:
            # Whoever calls may go on without. What was missed must not make anybody clean.
            connection.missed = True
            raise
        if isinstance(event, events.Closed):
            del self._open[event.connection]
            return self._judge(connection)
        return None

    def rest(self) -> Iterator[SingleVerdict]:
        """The verdicts of the connections that have not ended."""
        yield from map(self._judge, self._open.values())

    def _judge(self, connection: _Connection) -> SingleVerdict:
        seen = connection.seen
        accepted = bool(seen.shown) and self._accepted(seen.shown)
        if seen.over_the_line:
            verdict, reason = _of_data(connection, accepted=accepted)
        elif connection.tunnelled:
            verdict = "inconclusive"
            reason = f"passed on unread: {connection.tunnelled} is not under test"
        elif connection.missed:
            verdict, reason = "inconclusive", "unforeseen: it was not observed to its end"
        else:
            verdict, reason = self._of_silence(seen)
            if verdict == "aborted" and connection.blind:
                verdict, reason = "inconclusive", "what the server sent could not be read"
            if verdict == "aborted" and accepted:
                verdict = "inconclusive"
                reason += "; a correct client accepts this certificate"
        return SingleVerdict(seen.number, verdict, reason)

    def _of_silence(self, seen: SeenConnection) -> tuple[Word, str]:
        """What it comes to that no data was sent."""
        if seen.unreached:
            return "inconclusive", f"the server was not reached: {seen.unreached}"
        if seen.was_declined(None):
            return "inconclusive", (
                "OpenSSL declines to present it to this client, which names the signatures that it "
                "takes in certificates; an attacker need not decline"
            )
        if others := seen.ended_by_others(None):
            return "inconclusive", f"the client did not decide: {others}"
        if not seen.was_left(None):
            if seen.closed is None:
                return "inconclusive", "still open"
            why = f": {seen.closed.reason}" if seen.closed.reason else ""
            return "inconclusive", f"ended before the client was shown anything{why}"
        for other in self._open.values():
            if seen.gave_way_to(other.seen):
                number = other.seen.number
                return "inconclusive", f"given up for another way to the same host, #{number}"
        _, how = seen.departure()
        return "aborted", how if seen.reached == "preface" else f"left before a byte: {how}"


def _of_data(connection: _Connection, *, accepted: bool) -> tuple[Word, str]:
    """What it comes to that data was sent."""
    seen = connection.seen
    names = filter(None, map(str, (connection.methods, connection.credentials)))
    read = f"read: {', '.join(names) or without_a_call(seen.reached)}"
    if seen.refusal:
        read += f"; {seen.refusal}"
    if not seen.encrypted:
        return "exposed", f"no TLS; {read}"
    if accepted:
        return "connected", f"{read}; a correct client accepts this certificate"
    return "compromised", read
