"""Watches the events of a leg, and keeps what an observation is made of."""

from collections.abc import Collection, Iterable

from msgspec import structs

from mitm import events
from mitm.events import Event
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
from mitm.masking import masked, secrets_in, without_secrets

# Calls that are kept as evidence, and bytes of their messages. A client that makes more has shown
# long before what it does; 64 KiB of gzip can hold 64 MiB.
MAX_CALLS = 1000
MAX_MESSAGE_BYTES = 1024 * 1024
NOT_KEPT = "(not kept)"

# Parts of credentials that are kept, to be left out of what the client says. A client has a few.
MAX_SECRETS = 1000


class _Reading:
    """One call, as it is being put together."""

    def __init__(self, request: events.Headers) -> None:
        self.method = without_secrets(request.method, ())
        self.metadata: dict[str, list[str]] = {}
        for name, value in request.headers:
            if not name.startswith(":"):
                self.metadata.setdefault(name, []).append(masked(name, value))
        self.messages: dict[events.Direction, list[object]] = {"client": [], "server": []}
        self.status = ""

    def call(self) -> Call:
        metadata = {name: ", ".join(values) for name, values in self.metadata.items()}
        requests, responses = map(tuple, self.messages.values())
        return Call(self.method, metadata, requests, responses, self.status)


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
        self._calls: dict[tuple[int, int], _Reading] = {}
        self._room = MAX_MESSAGE_BYTES
        self._credentials: dict[str, set[int]] = {}
        self._secrets: set[str] = set()
        self._altered: list[Altered] = []
        self._relayed: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        if not event.connection:
            return
        try:
            self._take(event)
        except Exception as error:
            # Whoever calls may go on without. What was missed must not make anybody clean.
            self._missed = f"unforeseen: {type(error).__name__}, while it was observed"
            raise

    def _take(self, event: Event) -> None:
        connection = self._connections.get(event.connection)
        if connection is None:
            connection = self._connections[event.connection] = SeenConnection(event.connection)
        connection.see(event)
        match event:
            case events.Headers():
                self._headers(event)
            case events.Message():
                self._message(event)
            case events.UpstreamConnected():
                self._relayed.append(event.local)
            case events.Rewritten() if len(self._altered) < MAX_CALLS:
                self._altered.append(_altered(event))

    def _headers(self, event: events.Headers) -> None:
        key = (event.connection, event.stream)
        if event.kind == "request":
            for name, value in event.headers:
                if len(self._secrets) >= MAX_SECRETS:
                    break
                if not name.startswith(":") and masked(name, value) != value:
                    self._credentials.setdefault(name, set()).add(event.connection)
                self._secrets.update(secrets_in(name, value))
            if len(self._calls) < MAX_CALLS:
                self._calls[key] = _Reading(event)
        elif event.direction == "server":
            counts = self._connections[event.connection].shown not in self._spared
            self.answered |= event.end_stream and counts
            self.answers += event.end_stream
            if reading := self._calls.get(key):
                reading.status = dict(event.headers).get("grpc-status", reading.status)

    def _message(self, event: events.Message) -> None:
        reading = self._calls.get((event.connection, event.stream))
        if reading is None:
            return
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

    def _judged(self) -> list[SeenConnection]:
        """The connections that the client is judged by."""
        connections = list(self._connections.values())
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
        connections = self._connections.values()
        return [each for each in connections if any(map(each.lost_to, connections))]

    @property
    def turned_away(self) -> bool:
        """Whether the client was given no handshake on one of its connections."""
        return any(connection.turned_away for connection in self._connections.values())

    @property
    def spoken(self) -> bool:
        """Whether the client has sent data, be it on a connection that does not count."""
        return any(connection.over_the_line for connection in self._connections.values())

    def open(self) -> list[SeenConnection]:
        """The connections that have not ended."""
        return [each for each in self._connections.values() if not each.closed]

    def observation(self, run: ClientRun, control: Observation | None = None) -> Observation:
        """Say what the client did.

        Args:
            run: what is known of its run.
            control: what it did with the genuine certificate, if that was observed.
        """
        run = run.without_secrets(self._secrets).shortened()
        if self._missed:
            run = structs.replace(run, problem=self._missed)
        connections = list(self._connections.values())
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
            tuple(reading.call() for (n, _), reading in self._calls.items() if n in numbers),
            tuple(name for name, on in self._credentials.items() if on & numbers),
            tuple(each.ending(run.until) for each in connections),
            tuple(self._altered),
        )


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


def _altered(event: events.Rewritten) -> Altered:
    before, after = event.before, event.after
    if event.part != "message":
        before, after = _masked(before), _masked(after)
    return Altered(event.direction, event.part, event.type, before, after)


def _masked(fields: dict[str, object]) -> dict[str, object]:
    return {name: masked(name, str(value)) for name, value in fields.items()}
