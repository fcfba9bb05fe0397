"""What came of trying one certificate on a client, and of all of them: pure functions."""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from mitm import events
from mitm.audit.case import Case
from mitm.events import Event
from mitm.masking import secrets_in, without_secrets
from mitm.verdict import Call, Evidence, collect_evidence

Outcome = Literal["pass", "vulnerable", "too-strict", "unsupported", "inconclusive"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


# What OpenSSL says of a client that offers nothing which a certificate or a variant of the protocol
# could be served with: that is the client's refusal. Anything else that ends a connection on this
# side is not its decision.
_NOT_OFFERED = {
    "no shared cipher",
    "no shared signature algorithms",
    "no suitable groups",
    "no suitable key share",
    "no suitable signature algorithm",
    "unsupported protocol",
    "version too low",
}


class ClientRun(msgspec.Struct, frozen=True):
    """What is known of one run of the client besides what was seen of it.

    Attributes:
        said: its last words: exit code and last line, or the exception.
        failed: whether it says that it did not succeed.
        problem: why the run counts for nothing, because it timed out, say; "" if it counts.
        ended: whether its process has ended: all of its connections end then, too.
    """

    said: str = ""
    failed: bool = False
    problem: str = ""
    ended: bool = False


class Finding(msgspec.Struct, frozen=True):
    """What came of one certificate.

    Attributes:
        reason: in one sentence.
        evidence: what the client gave away, None if it was not tried.
        said: the client's last words.
    """

    case: Case
    outcome: Outcome
    reason: str
    evidence: Evidence | None = None
    said: str = ""

    def fails(self, *, strict: bool = False) -> bool:
        """Whether a build should fail for it.

        Args:
            strict: count what good clients do as well, and clients that are too strict.
        """
        if self.outcome == "vulnerable":
            return self.case.severity == "must" or (strict and self.case.severity == "should")
        return strict and self.outcome == "too-strict" and self.case.severity != "info"


class Report(msgspec.Struct, frozen=True):
    """What came of an audit.

    Attributes:
        controls: the genuine certificate, tried first and again at the end.
        findings: one for each certificate, in the order of their names.
    """

    controls: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    @property
    def conclusive(self) -> bool:
        """Whether the client got through with the genuine certificate, first and last."""
        return len(self.controls) == 2 and all(c.outcome == "pass" for c in self.controls)

    def failing(self, *, strict: bool = False) -> list[Finding]:
        """The findings that a build should fail for."""
        return [finding for finding in self.findings if finding.fails(strict=strict)]

    def undecided(self) -> list[Finding]:
        """The certificates that every client must judge, and of which nothing can be said."""
        return [
            finding
            for finding in self.findings
            if finding.outcome == "inconclusive" and finding.case.severity == "must"
        ]

    def count(self, outcome: Outcome) -> int:
        """How many certificates came to an outcome."""
        return sum(finding.outcome == outcome for finding in self.findings)


def judge(case: Case, seen: Sequence[Event], client: ClientRun) -> Finding:
    """Judge what a client did with a certificate.

    The line is the first application byte, as in docs/verdicts.md: a client that has sent one has
    accepted the certificate; one that has left without has not. With one exception: gRPC's C core
    checks the host name once more for each call, and more strictly than for the connection. A
    client that opens HTTP/2, and then fails without a request, has given nothing away.

    Args:
        case: what it was shown.
        seen: all that the interceptor saw.
        client: what is known of the client's run.
    """
    evidence = collect_evidence(seen)
    outcome, reason = _weigh(case, seen, evidence, client)
    return Finding(
        case, outcome, reason, evidence, without_secrets(client.said, _sent_secrets(seen))
    )


def _sent_secrets(seen: Sequence[Event]) -> set[str]:
    return {
        secret
        for event in seen
        if isinstance(event, events.Headers)
        for name, value in event.headers
        for secret in secrets_in(name, value)
    }


def _weigh(
    case: Case, seen: Sequence[Event], evidence: Evidence, client: ClientRun
) -> tuple[Outcome, str]:
    sent = [e for e in seen if isinstance(e, events.ApplicationData) and e.direction == "client"]
    if sent:
        encrypted = any(e.encrypted for e in sent)
        if case.expect == "reject" and encrypted and _refused_the_call(seen, client):
            return "pass", "rejected: it opened HTTP/2, but made no call"
        if case.expect == "accept":
            return "pass", "accepted" if encrypted else "no encryption: asked for no certificate"
        how = "accepted" if encrypted else "no encryption: asked for no certificate"
        return "vulnerable", f"{how}; read: {describe(evidence)}"
    if client.problem:
        return "inconclusive", client.problem
    if not any(isinstance(e, events.Connected) for e in seen):
        said = f" ({client.said})" if client.said else ""
        return "inconclusive", f"the client never connected{said}"
    for event in seen:
        match event:
            case events.UpstreamFailed():
                return "inconclusive", f"the server was not reached: {event.reason}"
            case events.Closed(by="server"):
                return "inconclusive", "the client did not decide: the server ended the connection"
            case events.Closed(by="attacker") if event.reason not in _NOT_OFFERED:
                return "inconclusive", f"the client did not decide: {event.reason}"
    if not any(isinstance(e, events.CertificatePresented) for e in seen):
        return "inconclusive", "the client left before it was shown anything"
    closed = {e.connection for e in seen if isinstance(e, events.Closed)}
    if any(isinstance(e, events.Connected) and e.connection not in closed for e in seen):
        return "inconclusive", "the client sent nothing, but has not left either"
    if case.expect == "reject":
        remark = "" if client.failed else "; yet the client reports success"
        return "pass", f"rejected: {_departure(evidence)}{remark}"
    return "too-strict", f"rejected: {_departure(evidence)}"


def _refused_the_call(seen: Sequence[Event], client: ClientRun) -> bool:
    """Whether a client sent HTTP/2's preface, no request after it, and failed of its own accord."""
    if client.problem or not client.failed:
        return False
    sent = [e for e in seen if isinstance(e, events.Frame) and e.direction == "client"]
    unread = any(isinstance(e, events.ParseFailed) and e.direction == "client" for e in seen)
    ended = {e.connection for e in seen if isinstance(e, events.Closed) and e.by == "client"}
    opened = {e.connection for e in seen if isinstance(e, events.Connected)}
    return bool(sent) and not unread and opened == ended and all(e.stream == 0 for e in sent)


def _departure(evidence: Evidence) -> str:
    """How the client left; of several connections, the one that says most."""
    ending = min(evidence.connections, key=lambda e: (not e.alert, e.phase != "established"))
    when = "after the handshake" if ending.accepted else "during the handshake"
    if ending.alert:
        return f"alert {ending.alert}, {when}"
    if ending.by == "attacker":
        return f"the client offers nothing that this could be served with, {when}"
    return f"closed without an alert, {when}"


def describe(evidence: Evidence) -> str:
    """What was read of a client, in one line; credentials are named, not shown."""
    if evidence.calls:
        methods = ", ".join(dict.fromkeys(method_of(call) for call in evidence.calls))
        count = sum(len(call.requests) for call in evidence.calls)
        parts = [methods, f"{count} message{'s' if count != 1 else ''}" if count else "headers"]
        if evidence.credentials:
            parts.append(f"credentials: {', '.join(evidence.credentials)}")
        return "; ".join(parts)
    return {
        "nothing": "nothing",
        "preface": "the HTTP/2 preface",
        "bytes": "application bytes that are not HTTP/2",
    }.get(evidence.reached, evidence.reached)


def method_of(call: Call) -> str:
    """A call's method. What is no gRPC may have a query behind it, with who knows what in it."""
    return call.method.partition("?")[0]
