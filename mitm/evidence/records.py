"""What is known of a leg: of the client's run, of what was read of it, and what it did."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import msgspec

from mitm import events
from mitm.masking import shortened, without_secrets

if TYPE_CHECKING:
    from mitm.programs import Ended

Reached = Literal[
    "nothing", "preface", "control", "part", "bytes", "headers", "messages", "altered"
]
LEVELS: tuple[Reached, ...] = get_args(Reached)

Act = Literal["sent", "exposed", "rejected", "declined", "unreached", "untried", "undecided"]

RunEnd = Literal["ended", "returned", "stopped", "still-running"]


class ClientRun(msgspec.Struct, frozen=True):
    """What is known of one run of a client besides what was seen of it.

    Attributes:
        end: how it came to its end. `ended`: the program has, and with it all its connections.
            `returned`: the function has, and may have left connections open. `stopped`: it was
            ended, since it had done enough to be judged. `still-running`: its time was up.
        said: its last words: exit code and the line that says why, or the exception.
        last_lines: the last few lines that a program has printed.
        failed: whether it says that it did not succeed.
        problem: why the run counts for nothing: it broke its contract, say; "" if it counts.
        exit_code: of a program; None if it had to be ended; negative if a signal ended it.
        answer: the JSON object that a client of the lab has printed, None if it printed none.
        until: when its time was up, or it was stopped, in seconds since the epoch: what it closed
            after that was not its decision. None if it came to its end by itself.
        killed: its program was ended by force, and with it all its connections.
        seconds: that it was given, 0 if that is not known.
        crash: what ended it in the place of its own code, `SIGABRT` say; "" if nothing did.
        left_behind: names of processes that it has started and that still run.
    """

    end: RunEnd
    said: str = ""
    failed: bool = False
    problem: str = ""
    exit_code: int | None = None
    answer: dict[str, object] | None = None
    until: float | None = None
    killed: bool = False
    seconds: float = 0
    crash: str = ""
    left_behind: tuple[str, ...] = ()
    last_lines: tuple[str, ...] = ()

    @classmethod
    def of_program(cls, ended: "Ended", seconds: float) -> Self:
        """What is known of a run by how a program has ended.

        Args:
            ended: what came of it.
            seconds: that it was given.
        """
        return cls(
            end=ended.how,
            said=ended.said,
            failed=ended.code != 0,
            exit_code=ended.code,
            until=ended.at,
            killed=ended.code is None,
            seconds=seconds,
            crash=ended.crash,
            left_behind=ended.left_behind,
            last_lines=ended.last_lines,
        )

    def without_secrets(self, secrets: Iterable[str]) -> Self:
        """The same run, with nothing secret in what it has said."""
        run = self._said(lambda text: without_secrets(text, secrets))
        answer = _without_secrets(self.answer, secrets)
        return msgspec.structs.replace(run, answer=answer)

    def shortened(self) -> Self:
        """The same run, with what it has said fit for a report; masked before, not after."""
        return self._said(shortened)

    def _said(self, change: Callable[[str], str]) -> Self:
        return msgspec.structs.replace(
            self,
            said=change(self.said),
            problem=change(self.problem),
            last_lines=tuple(map(change, self.last_lines)),
        )

    @property
    def over(self) -> bool:
        """Whether it came to its end by itself."""
        return self.end in ("ended", "returned")


def _without_secrets(value: Any, secrets: Iterable[str]) -> Any:
    """A JSON value, with nothing secret in its texts."""
    if isinstance(value, str):
        return without_secrets(value, secrets)
    if isinstance(value, dict):
        return {name: _without_secrets(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each, secrets) for each in value]
    return value


class Call(msgspec.Struct, frozen=True):
    """One call that was read; credentials are masked.

    Attributes:
        metadata: of the request, without pseudo-headers; values of one name joined by commas.
        requests, responses: messages as JSON, or their raw bytes in hexadecimal.
        status: the `grpc-status` number, "" if none was seen.
    """

    method: str
    metadata: dict[str, str] = {}
    requests: tuple[object, ...] = ()
    responses: tuple[object, ...] = ()
    status: str = ""


class Altered(msgspec.Struct, frozen=True):
    """What the interceptor sent on in the place of something; credentials are masked.

    Attributes:
        sender: who had sent the original.
        part: of the call: a message, metadata, the status.
        type: of a message, its full name.
        before: a message as JSON; of headers, the fields that were changed.
        after: the same as the other side was given it.
    """

    sender: events.Direction
    part: str
    type: str
    before: dict[str, object]
    after: dict[str, object]


class Ending(msgspec.Struct, frozen=True):
    """How far one connection came, and how it ended.

    Attributes:
        accepted: whether the client completed the TLS handshake.
        by, how: who ended it and in which way; "" and `open` if it had not ended.
        alert: of the peer that ended it, `unknown_ca (48)`; "" if there was none.
        reached: how far what the client sent on it could be read, as in `Evidence`.
        certificate: the name of what the client was shown, "" for nothing.
        resumed: the client has resumed a session, in which no certificate is shown.
    """

    connection: int
    accepted: bool
    by: str
    how: str
    phase: str
    alert: str = ""
    reached: Reached = "nothing"
    certificate: str = ""
    resumed: bool = False


class Identity(msgspec.Struct, frozen=True):
    """The certificate that a client has presented of its own; see `events.ClientCertificate`.

    Attributes:
        proved: whether it has proved that it holds the key.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    sha256: str
    proved: bool


class Evidence(msgspec.Struct, frozen=True):
    """What the interceptor really saw.

    Attributes:
        reached: how far it could read, over all connections: `nothing`; HTTP/2's opening, which is
            nobody's (`preface`); data in HTTP/2's `control` frames; a `part` of a request; `bytes`
            that are not HTTP; `headers` with metadata; whole `messages`; `altered` if moreover the
            client reports what the attacker wrote.
        credentials: names of the credentials that were read.
        altered: what was changed on its way.
        server_refused: that the server asked the attacker for a client certificate, and refused, in
            a sentence; "" if it did not.
        client_certificate: what the client has presented to the attacker, the first of its
            connections; None for nothing.
    """

    reached: Reached
    calls: tuple[Call, ...] = ()
    credentials: tuple[str, ...] = ()
    connections: tuple[Ending, ...] = ()
    altered: tuple[Altered, ...] = ()
    server_refused: str = ""
    client_certificate: Identity | None = None


class Kind(msgspec.Struct, frozen=True):
    """A kind of connection that a client makes.

    Attributes:
        offer: what its ClientHello offers besides a name, the mark of a TLS stack and how it is
            configured; () without TLS.
        protocol: that is spoken on it: HTTP/2, HTTP/1.1 or other `bytes`; "" if its handshake was
            not completed.
    """

    offer: tuple[tuple[str, ...], ...]
    protocol: str


class Offer(msgspec.Struct, frozen=True):
    """What a ClientHello offered, and what came of it; see `events.ClientHello`.

    Attributes:
        protocol: that was then spoken: HTTP/2, HTTP/1.1 or other `bytes`.
    """

    server_name: str | None
    alpn: tuple[str, ...]
    versions: tuple[str, ...]
    cipher_suites: tuple[str, ...]
    protocol: str


class Observation(msgspec.Struct, frozen=True):
    """What a client did with what it was shown.

    Attributes:
        act: `sent` data over it, which was decrypted; `exposed` its data without any TLS;
            `rejected` it; `declined`: it was not shown it, because the TLS library here would not;
            `unreached`: it never connected; `untried`: it made no connection on which it could have
            been shown a forgery; `undecided`.
        reason: for that, in one sentence; of `rejected`, how it left.
        end: of the client's run.
        called: whether it made a whole request, or spoke another protocol than HTTP/2.
        hung: whether it was shown one thing, and did nothing at all in the time it had.
        rejections: how many connections it has left.
        kinds: of the connections that it sent data on.
        left: of the connections that it has left.
        made: of all on which it was shown a certificate, in their order.
        raced: how many it has given up for a faster one to another address of the same host.
        met: of those on which it was shown what it had to judge.
        offers: of the connections over TLS that it sent data on.
        relayed: the interceptor's own addresses towards the server, by which the server knows it.
        secrets: credentials that were read, for leaving them out of what is repeated.
    """

    act: Act
    reason: str
    evidence: Evidence
    end: RunEnd = "ended"
    called: bool = False
    hung: bool = False
    rejections: int = 0
    kinds: tuple[Kind, ...] = ()
    left: tuple[Kind, ...] = ()
    made: tuple[Kind, ...] = ()
    met: tuple[Kind, ...] = ()
    raced: int = 0
    offers: tuple[Offer, ...] = ()
    relayed: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


def describe(evidence: Evidence) -> str:
    """What was read of a client, in one line; credentials are named, not shown."""
    if evidence.calls:
        methods = ", ".join(dict.fromkeys(method_of(call) for call in evidence.calls))
        count = sum(len(call.requests) for call in evidence.calls)
        parts = [methods, f"{count} message{'s' if count != 1 else ''}" if count else "headers"]
        if evidence.credentials:
            parts.append(f"credentials: {', '.join(evidence.credentials)}")
        return "; ".join(parts)
    return without_a_call(evidence.reached)


def without_a_call(reached: Reached) -> str:
    """What was read where no whole request was, in words."""
    return {
        "preface": "the HTTP/2 preface",
        "control": "data in HTTP/2 control frames",
        "part": "a part of a request",
        "bytes": "application bytes that are not HTTP/2",
    }.get(reached, reached)


def method_of(call: Call) -> str:
    """A call's method. What is no gRPC may have a query behind it, with who knows what in it."""
    return call.method.partition("?")[0]
