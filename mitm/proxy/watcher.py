"""Looks at application bytes after they have been relayed, and never stands in their way."""

import time
from collections.abc import Callable, Iterator

from mitm.events import EVERYTHING, ApplicationData, Direction, Event, ParseFailed, Wanted
from mitm.messages import Schema
from mitm.wire import Http1Parser, Http2Parser
from mitm.wire.http1 import opens
from mitm.wire.http2 import PREFACE, PROTOCOLS

SAMPLE_SIZE = 64

# Bytes kept until it is clear what a connection without `h2` speaks. A server that
# speaks first sends its SETTINGS, 50 bytes or so.
HELD_LIMIT = 16_384


class Watcher:
    """Turns the application bytes of one connection into events.

    Args:
        connection: number of the connection.
        encrypted: whether the client speaks TLS.
        alpn: the protocol agreed on with the client, None without ALPN.
        schema: descriptors for the messages.
        on_event: called with each event; a `GuardedObserver`, which does not raise.
        wanted: which events that is to be.
    """

    def __init__(
        self,
        connection: int,
        *,
        encrypted: bool,
        alpn: str | None,
        schema: Schema,
        on_event: Callable[[Event], None],
        wanted: Wanted = EVERYTHING,
    ) -> None:
        self._connection = connection
        self._encrypted = encrypted
        self._schema = schema
        self._on_event = on_event
        self._wanted = wanted
        self._parser: Http2Parser | Http1Parser | None = None
        self._held: list[tuple[Direction, bytes, float]] | None = None
        self._opening = bytearray()  # what the client has said of that
        if alpn in PROTOCOLS:
            self._parser = Http2Parser(connection, schema, wanted=wanted)
        else:
            # Without TLS or ALPN, or with another protocol agreed on, a client may speak HTTP/2 all
            # the same: its first bytes tell.
            self._held = []
        self.seen: dict[Direction, int] = {"client": 0, "server": 0}

    def feed(self, direction: Direction, data: bytes) -> None:
        """Look at bytes that have just been relayed, all at once."""
        for _ in self.look(direction, data):
            pass

    def look(self, direction: Direction, data: bytes | None) -> Iterator[None]:
        """Look at bytes that have just been relayed.

        The iterator must be run to its end before the next call.

        Args:
            direction: who has sent them.
            data: the bytes; None for the end of this direction.

        Yields:
            After each event, so that others can have their turn.
        """
        now = time.time()
        if data is None:
            yield from self._ended(direction, now)
            return
        if not self.seen[direction]:
            self._on_event(
                ApplicationData(
                    time=now,
                    connection=self._connection,
                    direction=direction,
                    encrypted=self._encrypted,
                    sample=data[:SAMPLE_SIZE],
                )
            )
            yield
        self.seen[direction] += len(data)
        if self._held is not None:
            self._held.append((direction, data, now))
            if direction == "client":
                self._opening += data
            yield from self._decide()
        elif self._parser:
            yield from self._told(direction, self._parser.feed(direction, data, now), now)

    def _ended(self, direction: Direction, now: float) -> Iterator[None]:
        if isinstance(self._parser, Http1Parser):
            yield from self._told(direction, self._parser.end(direction, now), now)

    def _decide(self) -> Iterator[None]:
        """Start to parse if the client's first bytes are HTTP/2's preface, or HTTP/1.1's request.

        Whatever else they are is no failure: the bytes alone are evidence.
        """
        assert self._held is not None
        opening = self._opening
        http1 = opens(opening)
        if opening.startswith(PREFACE):
            self._parser = Http2Parser(self._connection, self._schema, wanted=self._wanted)
        elif http1:
            self._parser = Http1Parser(self._connection, self._schema, wanted=self._wanted)
        elif (http1 is None or PREFACE.startswith(bytes(opening[: len(PREFACE)]))) and sum(
            self.seen.values()
        ) < HELD_LIMIT:
            return
        held, self._held = self._held, None
        opening.clear()
        for direction, data, received in held:
            if self._parser:
                told = self._parser.feed(direction, data, received)
                yield from self._told(direction, told, received)

    def _told(self, direction: Direction, parsed: Iterator[Event], now: float) -> Iterator[None]:
        try:
            for event in parsed:
                self._on_event(event)
                yield
        except Exception as error:
            # The parser is written not to raise. If it does all the same, the loss of a view must
            # not become the loss of a connection. The error's text may quote what the peer sent.
            self._parser = None
            reason = f"unforeseen: {type(error).__name__}"
            self._on_event(
                ParseFailed(
                    time=now, connection=self._connection, direction=direction, reason=reason
                )
            )
