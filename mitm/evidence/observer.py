"""Watches the events of a leg, and keeps what an observation is made of."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from msgspec import structs

from mitm import events
from mitm.events import FRAME_TYPES, Event, Wanted
from mitm.evidence.connection import SeenConnection
from mitm.evidence.line import Conduct
from mitm.evidence.records import (
    LEVELS,
    Altered,
    Call,
    ClientRun,
    Evidence,
    Observation,
)
from mitm.masking import holds_secret, masked, secrets_in

# Calls that are kept as evidence, and bytes of their messages. A client that makes more has shown
# long before what it does; 64 KiB of gzip can hold 64 MiB.
MAX_CALLS = 1000
MAX_MESSAGE_BYTES = 1024 * 1024
NOT_KEPT = "(not kept)"

# Messages that are noted of all calls together. A stream may have any number of them, empty ones.
MAX_MESSAGES = 100_000

# Parts of credentials that are kept, to be left out of what the client says; and names of them. A
# client has a few.
MAX_SECRETS = 1000


class _Reading:
    """One call, as it is being put together.

    Args:
        method: its path, fit to be shown.
        metadata: of its request, the same.
    """

    def __init__(self, method: str, metadata: dict[str, str]) -> None:
        self._method = method
        self._metadata = metadata
        self.messages: dict[events.Direction, list[object]] = {"client": [], "server": []}
        self.status = ""

    def call(self) -> Call:
        requests, responses = map(tuple, self.messages.values())
        return Call(self._method, self._metadata, requests, responses, self.status)


# What it rests on: of frames, a client's first ones, which are told in any case.
WANTED = Wanted(frames_left_out=FRAME_TYPES)


class Observer:
    """Is given the events of a leg, one by one, and keeps what a judgement rests on.

    What it keeps is bounded, whatever comes; whatever it leaves out, a request is noted.

    Args:
        noun: who is observed, in the words of a reason.
        spared: names of certificates of which the client has nothing to judge: in an attack, the
            genuine one. What it sends on those connections is not held against it.

    Attributes:
        noun: the same.
        answered: whether a call has come to its end, on a connection that counts.
        answers: how many calls have come to their end, on whatever connection.
    """

    def __init__(self, noun: str = "client", spared: Collection[str] = ()) -> None:
        self.answered = False
        self.answers = 0
        self._missed = ""
        self.noun = noun
        self._spared = spared
        self._connections: dict[int, SeenConnection] = {}
        self._calls: list[tuple[int, _Reading]] = []  # each with its connection
        self._newest: dict[tuple[int, int], _Reading] = {}  # of each stream; one may come again
        self._room = MAX_MESSAGE_BYTES
        self._messages = 0
        # Of the newest request, the connection, its header lines, and what is shown of them.
        self._noted: tuple[int, tuple[tuple[str, str], ...]] = 0, ()
        self._metadata: dict[str, str] = {}
        self._credentials: dict[str, set[int]] = {}
        self._secrets: set[str] = set()
        self._altered: list[Altered] = []
        self._relayed: list[str] = []
        self._carried: set[int] = set()  # connections that another observer has seen begin
        self._told: set[int] = set()  # those of them on which all was seen by that

    def rest(self) -> "Observer":
        """One for what comes after this.

        Connections that are open go on in both: what comes of them still is held against the client
        by whoever has seen them begin. Those on which it has sent data already are no news to the
        other, unless it makes another call there.
        """
        rest = Observer(self.noun, self._spared)
        rest._connections = {n: each for n, each in self._connections.items() if not each.closed}
        rest._carried = set(rest._connections)
        rest._told = {n for n, each in rest._connections.items() if each.over_the_line}
        return rest

    @property
    def news(self) -> bool:
        """Whether a client has connected, or has sent data, since this was begun."""
        return any(
            each.number not in self._carried or each.over_the_line for each in self._counted()
        )

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        if not event.connection:
            return
        try:
            connection = self._connections.get(event.connection)
            if connection is None:
                connection = self._connections[event.connection] = SeenConnection(event.connection)
            connection.see(event)
            if event.connection in self._told and _is_call(event):
                self._told.discard(event.connection)
            if take := _TAKE.get(type(event)):
                take(self, event)
        except Exception as error:
            # Whoever calls may go on without. What was missed must not make anybody clean.
            self._missed = f"unforeseen: {type(error).__name__}, while it was observed"
            raise

    def _connected(self, event: events.UpstreamConnected) -> None:
        self._relayed.append(event.local)

    def _rewritten(self, event: events.Rewritten) -> None:
        if len(self._altered) < MAX_CALLS:
            self._altered.append(_altered(event))

    def _headers(self, event: events.Headers) -> None:
        if event.kind == "request":
            # The same lines on the same connection say nothing new.
            noted = event.connection, event.headers
            if noted != self._noted:
                self._note_credentials(event)
                self._noted, self._metadata = noted, _metadata(event.headers)
            if len(self._calls) < MAX_CALLS:
                method = masked(":path", event.method)
                reading = _Reading(method, self._metadata)
                self._calls.append((event.connection, reading))
                self._newest[event.connection, event.stream] = reading
        elif event.direction == "server":
            if event.end_stream:
                self.answers += 1
                shown = self._connections[event.connection].shown
                self.answered = self.answered or shown not in self._spared
            if call := self._newest.get((event.connection, event.stream)):
                call.status = dict(event.headers).get("grpc-status", call.status)

    def _note_credentials(self, request: events.Headers) -> None:
        for name, value in request.headers:
            if len(self._secrets) >= MAX_SECRETS:
                break
            if not name.startswith(":") and holds_secret(name, value):
                self._note_credential(name, request.connection)
            self._secrets.update(secrets_in(name, value))

    def _note_credential(self, name: str, connection: int) -> None:
        on = self._credentials.get(name)
        if on is None and len(self._credentials) < MAX_SECRETS:
            on = self._credentials[name] = set()
        if on is not None:
            on.add(connection)

    def _message(self, event: events.Message) -> None:
        reading = self._newest.get((event.connection, event.stream))
        if reading is None or self._messages == MAX_MESSAGES:
            return
        self._messages += 1
        size = event.size if event.decompressed_size is None else event.decompressed_size
        shown: object = NOT_KEPT
        if size <= self._room:
            self._room -= size
            shown = event.value if event.value is not None else (event.raw or b"").hex()
        reading.messages[event.direction].append(shown)

    @property
    def rejections(self) -> int:
        """How many connections the client has left so far; 0 once it has sent data on one."""
        connections = self._judged()
        if any(connection.over_the_line for connection in connections):
            return 0
        return sum(connection.was_left(None) for connection in connections)

    @property
    def attacked(self) -> bool:
        """Whether there is a connection that the client is judged by."""
        return bool(self._judged())

    def _counted(self) -> list[SeenConnection]:
        """The connections that are not told of elsewhere."""
        return [each for number, each in self._connections.items() if number not in self._told]

    def _judged(self) -> list[SeenConnection]:
        """The connections that the client is judged by."""
        connections = self._counted()
        if not self._spared:
            return connections
        raced = self._raced()
        return [
            each
            for each in connections
            if each.shown not in self._spared
            and (each.presented or each.over_the_line or each.unreached)
            and each not in raced
        ]

    def _raced(self) -> list[SeenConnection]:
        """The connections that were given up for a faster one to the same host."""
        connections = self._counted()
        return [each for each in connections if any(map(each.lost_to, connections))]

    @property
    def turned_away(self) -> bool:
        """Whether the client was given no handshake on one of its connections."""
        return any(connection.turned_away for connection in self._counted())

    @property
    def spoken(self) -> bool:
        """Whether the client has sent data, be it on a connection that does not count."""
        return any(connection.over_the_line for connection in self._counted())

    def open(self) -> list[SeenConnection]:
        """The connections that have not ended."""
        return [each for each in self._counted() if not each.closed]

    def observation(self, run: ClientRun, control: Observation | None = None) -> Observation:
        """Say what the client did.

        Args:
            run: what is known of its run.
            control: what it did with the genuine certificate, if that was observed.
        """
        run = run.without_secrets(self._secrets).shortened()
        if self._missed:
            run = structs.replace(run, problem=self._missed)
        connections = self._counted()
        judged = self._judged()
        turned_away = [each for each in connections if each.turned_away and each not in judged]
        raced = self._raced()
        spared = len(connections) - len(judged) - len(turned_away)
        conduct = Conduct(judged, run, control, self.noun, turned_away, spared)
        act, reason = conduct.weigh()
        return Observation(
            act=act,
            reason=reason,
            evidence=self._evidence(connections, judged, run),
            end=run.end,
            called=any(each.requested or each.reached == "bytes" for each in judged),
            hung=conduct.hangs,
            rejections=len(conduct.left),
            kinds=tuple(dict.fromkeys(each.kind for each in judged if each.over_the_line)),
            offers=tuple(
                dict.fromkeys(e.hello for e in connections if e.over_the_line and e.hello)
            ),
            left=tuple(dict.fromkeys(each.kind for each in conduct.left)),
            made=tuple(
                each.kind
                for each in connections
                if each.presented and each.offer and each not in raced
            ),
            raced=len(raced),
            met=tuple(each.kind for each in judged if each.presented),
            relayed=tuple(self._relayed),
            secrets=tuple(sorted(self._secrets)),
        )

    def _evidence(
        self, connections: list[SeenConnection], judged: list[SeenConnection], run: ClientRun
    ) -> Evidence:
        numbers = {each.number for each in judged}
        return Evidence(
            max((each.reached for each in judged), key=LEVELS.index, default="nothing"),
            tuple(reading.call() for number, reading in self._calls if number in numbers),
            tuple(name for name, on in self._credentials.items() if on & numbers),
            tuple(each.ending(run.until) for each in connections),
            tuple(self._altered),
            next((each.refusal for each in judged if each.refusal), ""),
            next((each.identity for each in judged if each.identity), None),
        )


def _is_call(event: Event) -> bool:
    return isinstance(event, events.Headers | events.Message) and event.direction == "client"


# By type, as for a connection.
_TAKE: dict[type[Event], Callable[[Observer, Any], None]] = {
    events.Headers: Observer._headers,
    events.Message: Observer._message,
    events.UpstreamConnected: Observer._connected,
    events.Rewritten: Observer._rewritten,
}


def observe(seen: Iterable[Event], run: ClientRun) -> Observation:
    """Say what a client did, by all events of a leg.

    Args:
        seen: the events.
        run: what is known of the client's run.
    """
    observer = Observer()
    for event in seen:
        observer(event)
    return observer.observation(run)


def _metadata(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is shown of the headers of a request; values of one name are joined by commas."""
    shown: dict[str, list[str]] = {}
    for name, value in headers:
        if not name.startswith(":"):
            shown.setdefault(name, []).append(masked(name, value))
    return {name: ", ".join(values) for name, values in shown.items()}


def _altered(event: events.Rewritten) -> Altered:
    before, after = event.before, event.after
    if event.part != "message":
        before, after = _masked(before), _masked(after)
    return Altered(event.direction, event.part, event.type, before, after)


def _masked(fields: dict[str, object]) -> dict[str, object]:
    return {name: masked(name, str(value)) for name, value in fields.items()}
