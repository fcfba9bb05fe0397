"""Watches the events of a leg, and says what the client did over all of its connections.

What holds whatever comes: data that was read is never taken back, by no number of events and by no
other witness; and nobody has rejected who could not have gone on. docs/verdicts.md has the rules
for readers.
"""

from collections import Counter
from collections.abc import Iterable

from mitm import events
from mitm.events import Event
from mitm.evidence.connection import Connection
from mitm.evidence.records import (
    LEVELS,
    Act,
    Altered,
    Call,
    ClientRun,
    Evidence,
    Kind,
    Observation,
)
from mitm.masking import masked, secrets_in

# Rejections after which a client that goes on has made up its mind, and may be ended.
REJECTIONS_ENOUGH = 5

# The same for a client whose time is up. Fewer do: it was not ended, and so could have given in.
# gRPC's back-off (1 s, then 1.6 times as long each time) comes to three within four seconds.
REJECTIONS_IN_TIME = 3

# Calls that are kept as evidence, and bytes of their messages. A client that makes more has shown
# long before what it does; 64 KiB of gzip can hold 64 MiB.
MAX_CALLS = 1000
MAX_MESSAGE_BYTES = 1024 * 1024
NOT_KEPT = "(not kept)"


class _Reading:
    """One call, as it is being put together."""

    def __init__(self, request: events.Headers) -> None:
        self.method = request.method
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

    Attributes:
        noun: the same.
        answered: whether a call has come to its end.
    """

    def __init__(self, noun: str = "client") -> None:
        self.answered = False
        self._missed = ""
        self.noun = noun
        self._connections: dict[int, Connection] = {}
        self._calls: dict[tuple[int, int], _Reading] = {}
        self._room = MAX_MESSAGE_BYTES
        self._credentials: dict[str, None] = {}
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
            connection = self._connections[event.connection] = Connection(event.connection)
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
                if masked(name, value) != value:
                    self._credentials[name] = None
                    self._secrets.update(secrets_in(name, value))
            if len(self._calls) < MAX_CALLS:
                self._calls[key] = _Reading(event)
        elif event.direction == "server":
            self.answered |= event.end_stream
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
        connections = self._connections.values()
        if any(connection.over_the_line for connection in connections):
            return 0
        return sum(connection.was_left(None) for connection in connections)

    def open(self) -> list[Connection]:
        """The connections that have not ended."""
        return [each for each in self._connections.values() if not each.closed]

    def observation(self, run: ClientRun, control: Observation | None = None) -> Observation:
        """Say what the client did.

        Args:
            run: what is known of its run.
            control: what it did with the genuine certificate, if that was observed.
        """
        connections = list(self._connections.values())
        left = [each for each in connections if each.was_left(run)]
        act, reason = self._weigh(connections, left, run, control)
        remain = [each for each in connections if not each.end(run.until)]
        return Observation(
            act=act,
            reason=reason,
            evidence=self._evidence(connections, run),
            end=run.end,
            called=any(each.requested or each.reached == "bytes" for each in connections),
            hung=run.end == "still-running"
            and connections == remain
            and bool(remain)
            and all(each.presented and not each.accepted for each in remain),
            rejections=len(left),
            kinds=tuple(dict.fromkeys(each.kind for each in connections if each.over_the_line)),
            left=tuple(dict.fromkeys(each.kind for each in left)),
            relayed=tuple(self._relayed),
            secrets=tuple(sorted(self._secrets)),
        )

    def _weigh(
        self,
        connections: list[Connection],
        left: list[Connection],
        run: ClientRun,
        control: Observation | None,
    ) -> tuple[Act, str]:
        over = [each for each in connections if each.over_the_line]
        if any(each.encrypted for each in over):
            return "sent", (
                f"the {self.noun} sent application data over the forged certificate, and it was "
                "decrypted"
            )
        if over:
            return "exposed", "there is no TLS: everything was read with no certificate"
        if problem := run.problem or self._missed:
            return "undecided", problem
        if not connections and run.end == "still-running":
            return "undecided", f"the {self.noun} did not end within {run.seconds:g} s"
        if not connections:
            return "unreached", f"the {self.noun} never connected"
        if unreached := next((each.unreached for each in connections if each.unreached), ""):
            return "undecided", f"the server was not reached: {unreached}"
        if any(each.was_declined(run.until) for each in connections):
            return "declined", (
                f"OpenSSL declines to present it to this {self.noun}, which names the signatures "
                "that it takes in certificates; an attacker need not decline"
            )
        for each in connections:
            if others := each.ended_by_others(run.until):
                return "undecided", f"the {self.noun} did not decide: {others}"
        return self._weigh_silence(connections, left, run, control)

    def _weigh_silence(
        self,
        connections: list[Connection],
        left: list[Connection],
        run: ClientRun,
        control: Observation | None,
    ) -> tuple[Act, str]:
        """Of a client that has sent no data, and that nobody has kept from it."""
        who = f"the {self.noun}"
        if run.left_behind:
            return "undecided", (
                f"something that {who} has started was still running when it had ended "
                f"({', '.join(run.left_behind)}): let that end as well"
            )
        remain = [
            each for each in connections if not each.end(run.until) and not each.was_left(run)
        ]
        # After rejections, what has only just come is the next attempt of a client that goes on.
        goes_on = bool(left) and not run.over
        if goes_on:
            often = len(left) >= REJECTIONS_ENOUGH
            remain = [
                each
                for each in remain
                if not each.is_looking(run.until) or (each.reached != "nothing" and not often)
            ]
        if any(each.reached == "preface" for each in remain):
            return "undecided", (
                f"{who} opened HTTP/2 and made no call, but has not left either: it may have been "
                "about to; let it end, or close its channel"
            )
        if any(each.presented for each in remain):
            return "undecided", f"{who} sent nothing, but has not left either"
        if not left:
            whose = (each.closed for each in connections if each.closed)
            why = next((end.reason for end in whose if end.by == "attacker"), "")
            said = f"{who} left before it was shown anything"
            return "undecided", f"{said} ({why})" if why else said
        _, how = min(each.departure() for each in left)
        if len(left) > 1:
            how += f"; {len(left)} times"
        # A service goes on after the genuine certificate as well: that it does says nothing.
        serves = control is not None and control.end == "still-running"
        if run.end == "still-running" and len(left) < REJECTIONS_IN_TIME and not serves:
            return "undecided", (
                f"{who} had rejected it ({how}), but was still running when its time was up: "
                "give it more time, or let it give up sooner"
            )
        if goes_on:
            how += "; it was still running" if serves else "; it was still trying"
        return "rejected", how

    def _evidence(self, connections: list[Connection], run: ClientRun) -> Evidence:
        return Evidence(
            max((each.reached for each in connections), key=LEVELS.index, default="nothing"),
            tuple(reading.call() for reading in self._calls.values()),
            tuple(self._credentials),
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


def not_attacked(control: Observation, attack: Observation) -> list[Kind]:
    """The kinds of connections that a client makes, and on which it was not shown a forgery.

    A client may check on the one and not on the other; where it stops at the first, nothing is
    known of the second. Of two kinds that offer the same TLS, it is not known which one it was.

    Args:
        control: what it did with the genuine certificate.
        attack: what it did with the forged one.
    """
    if len(control.kinds) < 2:
        return []
    shown = {kind.offer for kind in attack.left}
    alike = Counter(kind.offer for kind in control.kinds)
    return [kind for kind in control.kinds if kind.offer not in shown or alike[kind.offer] > 1]


def _altered(event: events.Rewritten) -> Altered:
    before, after = event.before, event.after
    if event.part != "message":
        before, after = _masked(before), _masked(after)
    return Altered(event.direction, event.part, event.type, before, after)


def _masked(fields: dict[str, object]) -> dict[str, object]:
    return {name: masked(name, str(value)) for name, value in fields.items()}
