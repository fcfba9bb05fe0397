"""The verdict on a leg: a pure function of what interceptor, client and server reported.

The rules are those of docs/verdicts.md. The two that matter most: a completed handshake is not a
compromise (gRPC's C core checks the host name after it), and an alert is not needed for an abort.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from mitm import events
from mitm.events import Event
from mitm.masking import masked
from mitm.messages.status import status_name

Verdict = Literal[
    "connected", "failed", "exposed", "compromised", "aborted", "unreached", "inconclusive"
]
GenuineVerdict = Literal["connected", "failed"]
InterceptedVerdict = Literal["exposed", "compromised", "aborted", "unreached", "inconclusive"]
Reached = Literal["nothing", "bytes", "preface", "headers", "messages", "altered"]

PREFACE_START = b"PRI * HTTP/2.0"  # RFC 9113 section 3.4
_LEVELS: tuple[Reached, ...] = ("nothing", "bytes", "preface", "headers", "messages")


class ClientReport(msgspec.Struct, frozen=True):
    """What came of the client program, by the contract of client/README.md.

    Attributes:
        exit_code: None if it had to be ended; negative if a signal ended it.
        answer: the JSON object that it printed, None if it printed something else.
        problem: how it broke the contract: it hung, crashed, printed rubbish; "" if it kept it.
    """

    exit_code: int | None
    answer: dict[str, object] | None
    problem: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the client says that its call was answered."""
        return not self.problem and self.exit_code == 0

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.succeeded:
            return "the call was answered"
        error = (self.answer or {}).get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return f"the call failed: {code or 'no reason given'}"


class ServerCall(msgspec.Struct, frozen=True):
    """One call, as the server itself recorded it."""

    method: str
    peer: str
    status: str


class Call(msgspec.Struct, frozen=True):
    """One gRPC call that was read; credentials are masked.

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
    """How one connection ended.

    Attributes:
        accepted: whether the client completed the TLS handshake.
        alert: of the peer that ended it, `unknown_ca (48)`; "" if there was none.
    """

    connection: int
    accepted: bool
    by: str
    how: str
    phase: str
    alert: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """What the interceptor really saw.

    Attributes:
        reached: how far it could read: nothing, some bytes that are not HTTP/2, the HTTP/2 preface
            only, headers with metadata, or whole messages; `altered` if moreover the client reports
            what the attacker wrote.
        credentials: names of the credentials that were read.
        altered: what was changed on its way.
    """

    reached: Reached
    calls: tuple[Call, ...] = ()
    credentials: tuple[str, ...] = ()
    connections: tuple[Ending, ...] = ()
    altered: tuple[Altered, ...] = ()


class LegResult(msgspec.Struct, frozen=True):
    """A verdict, why it was given, and what it rests on."""

    verdict: Verdict
    reason: str
    client: ClientReport
    server_calls: tuple[ServerCall, ...] = ()
    evidence: Evidence | None = None


def judge_genuine(client: ClientReport, calls: Sequence[ServerCall]) -> LegResult:
    """Judge the control: did the call succeed, by client and server alike?

    Args:
        client: what came of the client.
        calls: what the server recorded during this leg.
    """
    answered = any(call.status == "OK" for call in calls)
    if client.succeeded and answered:
        return LegResult("connected", "client and server agree", client, tuple(calls))
    if client.succeeded:
        reason = "the client reports an answer, but the server has recorded no such call"
    else:
        reason = str(client) + ("; yet the server has answered a call" if answered else "")
    return LegResult("failed", reason, client, tuple(calls))


def judge_intercepted(
    seen: Sequence[Event], client: ClientReport, calls: Sequence[ServerCall]
) -> LegResult:
    """Judge the attack, over all connections that the client made.

    Args:
        seen: all that the interceptor saw during this leg.
        client: what came of the client.
        calls: what the server recorded during this leg.
    """
    evidence = collect_evidence(seen)
    if _believed(evidence.altered, client):
        evidence = msgspec.structs.replace(evidence, reached="altered")
    verdict, reason = _weigh(seen, evidence, client, calls)
    return LegResult(verdict, reason, client, tuple(calls), evidence)


def _weigh(
    seen: Sequence[Event],
    evidence: Evidence,
    client: ClientReport,
    calls: Sequence[ServerCall],
) -> tuple[InterceptedVerdict, str]:
    relayed = {e.local for e in seen if isinstance(e, events.UpstreamConnected)}
    around = any(call.peer not in relayed for call in calls)
    sent = [e for e in seen if isinstance(e, events.ApplicationData) and e.direction == "client"]
    if sent:
        # What was decrypted was decrypted, whatever the other witnesses say: they are quoted.
        dissent = _dissent(evidence, client, calls, around)
        if evidence.reached == "altered":
            dissent = "; the client believed an altered answer" + dissent
        elif any(each.sender == "server" for each in evidence.altered):
            dissent = "; the answer was altered, which the client does not repeat" + dissent
        if any(e.encrypted for e in sent):
            what = "the client sent application data over the forged certificate"
            return "compromised", f"{what}, and it was decrypted{dissent}"
        return "exposed", f"there is no TLS: everything was read with no certificate{dissent}"

    if around:
        return "inconclusive", "a call reached the server, but not through the interceptor"
    if calls:
        return "inconclusive", "the server recorded a call that the interceptor did not see"
    if client.succeeded:
        return "inconclusive", "the client reports an answer, but none passed the interceptor"
    if client.problem:
        return "inconclusive", client.problem
    if client.exit_code != 1:
        return "inconclusive", f"the client did not try: exit code {client.exit_code}"
    if not any(isinstance(e, events.Connected) for e in seen):
        return "unreached", "the client never connected"
    failed = [e for e in seen if isinstance(e, events.UpstreamFailed)]
    if failed:
        return "inconclusive", f"the interceptor could not reach the server: {failed[0].reason}"
    if not any(isinstance(e, events.CertificatePresented) for e in seen):
        return "inconclusive", "the client left before it was shown a certificate"
    given_up = [e for e in seen if isinstance(e, events.Closed) and e.by == "attacker"]
    if given_up:
        return "inconclusive", f"the interceptor ended a connection: {given_up[0].reason}"
    refused = [e for e in seen if isinstance(e, events.Closed) and e.by == "server"]
    if refused:
        return "inconclusive", "the server, not the client, ended a connection"
    closed = {e.connection for e in seen if isinstance(e, events.Closed)}
    if any(isinstance(e, events.Connected) and e.connection not in closed for e in seen):
        return "inconclusive", "the client had not left yet"
    return "aborted", "the client was shown the forged certificate and left; it sent nothing"


def _dissent(
    evidence: Evidence, client: ClientReport, calls: Sequence[ServerCall], around: bool
) -> str:
    """A word on the other witnesses, where they do not confirm what was read."""
    if around:
        return "; a call also reached the server without passing the interceptor"
    if client.succeeded and not any(call.status == "OK" for call in calls):
        return "; the client reports an answer that the server has no record of"
    if evidence.reached == "messages" and not calls:
        return "; the server has no record of a call"
    return ""


def _believed(altered: Sequence[Altered], client: ClientReport) -> bool:
    """Whether the client reports what was written in the server's place, and not what it replaced.

    Values are compared, not fields: a client may name fields as it likes. A status it names as
    client/README.md says.
    """
    if client.problem:
        return False
    said = set(_values(client.answer))
    for each in altered:
        if each.sender == "server" and each.part != "metadata":
            before, after = set(_values(each.before)), set(_values(each.after))
            if each.part == "status":
                before, after = set(map(status_name, before)), set(map(status_name, after))
            if after - before and after - before <= said and not (before - after) & said:
                return True
    return False


def _values(value: object) -> Iterator[str]:
    """The values in a JSON value, as text: a 64-bit number is text in the form of Protobuf."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _values(each)
    else:
        yield str(value)


class _Reading:
    """One call, as it is being put together."""

    def __init__(self, request: events.Headers) -> None:
        self.method = request.method
        self.metadata: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in request.headers:
            if not name.startswith(":"):
                self.metadata[name].append(masked(name, value))
        self.messages: dict[events.Direction, list[object]] = {"client": [], "server": []}
        self.status = ""

    def call(self) -> Call:
        metadata = {name: ", ".join(values) for name, values in self.metadata.items()}
        requests, responses = map(tuple, self.messages.values())
        return Call(self.method, metadata, requests, responses, self.status)


def collect_evidence(seen: Sequence[Event]) -> Evidence:
    """Gather from the events what was read, and how each connection ended."""
    calls: dict[tuple[int, int], _Reading] = {}
    credentials: dict[str, None] = {}
    levels: set[Reached] = {"nothing"}
    accepted: set[int] = set()
    alerts: dict[tuple[int, events.Party], str] = {}
    endings = []
    altered = []
    for event in seen:
        match event:
            case events.ApplicationData(direction="client"):
                levels.add("preface" if event.sample.startswith(PREFACE_START) else "bytes")
            case events.Frame(direction="client"):
                # The sample may have been shorter; frames come after the preface alone.
                levels.add("preface")
            case events.Headers(kind="request"):
                levels.add("headers")
                credentials |= {n: None for n, v in event.headers if masked(n, v) != v}
                calls[event.connection, event.stream] = _Reading(event)
            case events.Headers():
                if reading := calls.get((event.connection, event.stream)):
                    reading.status = dict(event.headers).get("grpc-status", reading.status)
            case events.Message():
                if event.direction == "client":
                    levels.add("messages")
                if reading := calls.get((event.connection, event.stream)):
                    shown = event.value if event.value is not None else (event.raw or b"").hex()
                    reading.messages[event.direction].append(shown)
            case events.Rewritten():
                altered.append(_altered(event))
            case events.HandshakeCompleted():
                accepted.add(event.connection)
            case events.Alert():
                alerts[event.connection, event.by] = f"{event.name} ({event.number})"
            case events.Closed():
                number = event.connection
                alert = alerts.get((number, event.by), "")
                endings.append(
                    Ending(number, number in accepted, event.by, event.how, event.phase, alert)
                )
    return Evidence(
        max(levels, key=_LEVELS.index),
        tuple(reading.call() for reading in calls.values()),
        tuple(credentials),
        tuple(endings),
        tuple(altered),
    )


def _altered(event: events.Rewritten) -> Altered:
    before, after = event.before, event.after
    if event.part != "message":
        before, after = _masked(before), _masked(after)
    return Altered(event.direction, event.part, event.type, before, after)


def _masked(fields: dict[str, object]) -> dict[str, object]:
    return {name: masked(name, str(value)) for name, value in fields.items()}
