"""The verdict on a leg: a pure function of what interceptor, client and server reported.

The rules are those of docs/verdicts.md. The two that matter most: a completed handshake is not a
compromise (gRPC's C core checks the host name after it), and an alert is not needed for an abort.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from mitm import events
from mitm.capture import masked
from mitm.events import Event

Verdict = Literal[
    "connected", "failed", "exposed", "compromised", "aborted", "unreached", "inconclusive"
]
GenuineVerdict = Literal["connected", "failed"]
InterceptedVerdict = Literal["exposed", "compromised", "aborted", "unreached", "inconclusive"]


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
        metadata: of the request, without pseudo-headers.
        requests, responses: messages as JSON, or their raw bytes in hexadecimal.
        status: the `grpc-status` number, "" if none was seen.
    """

    method: str
    metadata: dict[str, str] = {}
    requests: tuple[object, ...] = ()
    responses: tuple[object, ...] = ()
    status: str = ""


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
            only, headers with metadata, or whole messages.
        credentials: names of the credentials that were read.
    """

    reached: Literal["nothing", "bytes", "preface", "headers", "messages"]
    calls: tuple[Call, ...] = ()
    credentials: tuple[str, ...] = ()
    connections: tuple[Ending, ...] = ()


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
        reason = str(client)
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
    verdict, reason = _weigh(seen, evidence, client, calls)
    return LegResult(verdict, reason, client, tuple(calls), evidence)


def _weigh(
    seen: Sequence[Event],
    evidence: Evidence,
    client: ClientReport,
    calls: Sequence[ServerCall],
) -> tuple[InterceptedVerdict, str]:
    sent = [e for e in seen if isinstance(e, events.ApplicationData) and e.direction == "client"]
    if any(e.encrypted for e in sent):
        what = "the client sent application data over the forged certificate, and it was decrypted"
        return "compromised", what + _dissent(evidence, calls)
    if sent:
        return "exposed", "there is no TLS: everything was read with no certificate"

    relayed = {e.local for e in seen if isinstance(e, events.UpstreamConnected)}
    around = [call for call in calls if call.peer not in relayed]
    if around:
        return "inconclusive", "a call reached the server, but not through the interceptor"
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
    return "aborted", "the client was shown the forged certificate and left; it sent nothing"


def _dissent(evidence: Evidence, calls: Sequence[ServerCall]) -> str:
    """A word on the server's witness, where it does not confirm what was read."""
    if evidence.reached == "messages" and not calls:
        return "; the server has no record of a call"
    return ""


def collect_evidence(seen: Sequence[Event]) -> Evidence:
    """Gather from the events what was read, and how each connection ended."""
    calls: dict[tuple[int, int], Call] = {}
    credentials: dict[str, None] = {}
    accepted: set[int] = set()
    alerts: dict[int, str] = {}
    endings = []
    reached: Literal["nothing", "bytes", "preface", "headers", "messages"] = "nothing"
    for event in seen:
        match event:
            case events.ApplicationData(direction="client") if reached == "nothing":
                # Section 3.4 of RFC 9113: the first bytes of an HTTP/2 client.
                reached = "preface" if event.sample.startswith(b"PRI * HTTP/2.0") else "bytes"
            case events.Headers(kind="request"):
                reached = "messages" if reached == "messages" else "headers"
                shown = {n: masked(n, v) for n, v in event.headers if not n.startswith(":")}
                credentials |= {n: None for n, v in event.headers if masked(n, v) != v}
                key = event.connection, event.stream
                calls[key] = Call(event.method, shown)
            case events.Headers():
                status = dict(event.headers).get("grpc-status", "")
                _update(calls, event, status=status)
            case events.Message():
                if event.direction == "client":
                    reached = "messages"
                _update(calls, event, message=event)
            case events.HandshakeCompleted():
                accepted.add(event.connection)
            case events.Alert():
                alerts[event.connection] = f"{event.name} ({event.number})"
            case events.Closed():
                number = event.connection
                endings.append(
                    Ending(
                        number,
                        number in accepted,
                        event.by,
                        event.how,
                        event.phase,
                        alerts.get(number, ""),
                    )
                )
    return Evidence(reached, tuple(calls.values()), tuple(credentials), tuple(endings))


def _update(
    calls: dict[tuple[int, int], Call],
    event: events.Headers | events.Message,
    *,
    status: str = "",
    message: events.Message | None = None,
) -> None:
    key = event.connection, event.stream
    if key not in calls:
        return
    call = calls[key]
    if status:
        call = msgspec.structs.replace(call, status=status)
    if message:
        shown = message.value if message.value is not None else (message.raw or b"").hex()
        if message.direction == "client":
            call = msgspec.structs.replace(call, requests=(*call.requests, shown))
        else:
            call = msgspec.structs.replace(call, responses=(*call.responses, shown))
    calls[key] = call
