"""What is made of the events of one certificate: tables, where each line has a twin."""

from collections.abc import Sequence

import pytest

from mitm.audit import Case, ClientRun, Finding, Report
from mitm.audit.finding import Outcome, describe, judge
from mitm.events import (
    Alert,
    ApplicationData,
    CertificatePresented,
    Closed,
    Connected,
    Event,
    Frame,
    HandshakeCompleted,
    Headers,
    Message,
    ParseFailed,
    Plaintext,
    UpstreamFailed,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FAILED = ClientRun("exit code 1", failed=True, ended=True)
FINE = ClientRun("exit code 0", ended=True)
HUNG = ClientRun(problem="the client did not end within 10 s", failed=True, ended=True)


def case(expect: str = "reject", severity: str = "must") -> Case:
    assert expect in ("accept", "reject")
    assert severity in ("must", "should", "info")
    return Case(
        name="a-case",
        title="A case",
        expect="accept" if expect == "accept" else "reject",
        severity="must" if severity == "must" else "should" if severity == "should" else "info",
        cwe=(295,),
        rule="",
        fix="",
        lesson="",
        host="localhost",
        server_name="localhost",
        chain=None,
    )


def connected(number: int = 1) -> Event:
    return Connected(time=0, connection=number, client="127.0.0.1:1")


def presented(number: int = 1) -> Event:
    return CertificatePresented(
        time=0, connection=number, certificate="a-case", subjects=(), issuer="", sha256=""
    )


def completed(number: int = 1) -> Event:
    return HandshakeCompleted(time=0, connection=number, version="TLSv1.3", cipher="", alpn="h2")


def sent(sample: bytes = PREFACE, *, encrypted: bool = True, number: int = 1) -> Event:
    return ApplicationData(
        time=0, connection=number, direction="client", encrypted=encrypted, sample=sample
    )


def frame(kind: str, stream: int = 0) -> Event:
    return Frame(
        time=0, connection=1, direction="client", stream=stream, type=kind, flags=(), length=0
    )


def request(path: str = "/a.B/C", *headers: tuple[str, str]) -> Event:
    return Headers(
        time=0,
        connection=1,
        direction="client",
        stream=1,
        kind="request",
        method=path,
        headers=((":path", path), *headers),
    )


def message() -> Event:
    return Message(
        time=0, connection=1, direction="client", stream=1, method="/a.B/C", type="", size=0
    )


def closed(by: str = "client", how: str = "eof", number: int = 1, reason: str = "") -> Event:
    assert by in ("client", "attacker", "server")
    return Closed(
        time=0,
        connection=number,
        by="client" if by == "client" else "server" if by == "server" else "attacker",
        how="eof" if how == "eof" else "alert" if how == "alert" else "error",
        phase="handshake",
        reason=reason,
    )


SHOWN = [connected(), presented()]
LEFT = [*SHOWN, closed()]
OPENED = [*SHOWN, completed(), sent(), frame("SETTINGS")]
ASKED = [*OPENED, frame("HEADERS", 1), request(), message()]
ALERT = Alert(time=0, connection=1, by="client", name="unknown_ca", number=48)


@pytest.mark.parametrize(
    ("seen", "client", "outcome", "reason"),
    [
        # It sent something.
        ([*ASKED, closed()], FINE, "vulnerable", "accepted; read: /a.B/C; 1 message"),
        ([*ASKED, closed()], FAILED, "vulnerable", "accepted; read: /a.B/C"),
        ([*ASKED, closed()], HUNG, "vulnerable", "accepted; read: /a.B/C"),
        ([*SHOWN, sent(b"GET /"), closed()], FAILED, "vulnerable", "that are not HTTP/2"),
        ([connected(), sent(encrypted=False)], FINE, "vulnerable", "no encryption"),
        # It retried, and one of several times is enough.
        ([*LEFT, connected(2), presented(2), sent(b"x", number=2)], FAILED, "vulnerable", "read"),
        # It left.
        (LEFT, FAILED, "pass", "closed without an alert, during the handshake"),
        ([*SHOWN, ALERT, closed(how="alert")], FAILED, "pass", "alert unknown_ca (48), during"),
        ([*SHOWN, completed(), closed()], FAILED, "pass", "without an alert, after the handshake"),
        (LEFT, FINE, "pass", "yet the client reports success"),
        (
            [*SHOWN, closed("attacker", "error", reason="no shared cipher")],
            FAILED,
            "pass",
            "offers nothing that this could be served with",
        ),
        # It opened HTTP/2, and thought better of it.
        ([*OPENED, closed()], FAILED, "pass", "opened HTTP/2, but made no call"),
        ([*OPENED, closed()], FINE, "vulnerable", "the HTTP/2 preface"),
        ([*OPENED, closed()], HUNG, "vulnerable", "the HTTP/2 preface"),
        (OPENED, FAILED, "vulnerable", "the HTTP/2 preface"),
        ([*OPENED, closed("server")], FAILED, "vulnerable", "the HTTP/2 preface"),
        ([*OPENED, frame("HEADERS", 1), closed()], FAILED, "vulnerable", "the HTTP/2 preface"),
        (
            [
                *OPENED,
                ParseFailed(time=0, connection=1, direction="client", reason="rubbish"),
                closed(),
            ],
            FAILED,
            "vulnerable",
            "the HTTP/2 preface",
        ),
        ([*SHOWN, sent(), closed()], FAILED, "vulnerable", "the HTTP/2 preface"),
        # Nothing can be said.
        ([], FAILED, "inconclusive", "the client never connected (exit code 1)"),
        ([], HUNG, "inconclusive", "did not end within 10 s"),
        (LEFT, HUNG, "inconclusive", "did not end within 10 s"),
        ([connected(), closed()], FAILED, "inconclusive", "before it was shown anything"),
        (SHOWN, FAILED, "inconclusive", "sent nothing, but has not left either"),
        ([*LEFT, connected(2), presented(2)], FAILED, "inconclusive", "has not left either"),
        ([*SHOWN, closed("server")], FAILED, "inconclusive", "the server ended the connection"),
        (
            [*SHOWN, closed("attacker", "error", reason="KeyError: 1")],
            FAILED,
            "inconclusive",
            "did not decide: KeyError: 1",
        ),
        (
            [connected(), UpstreamFailed(time=0, connection=1, address="", reason="refused")],
            FAILED,
            "inconclusive",
            "the server was not reached: refused",
        ),
    ],
)
def test_a_certificate_that_must_be_rejected(
    seen: Sequence[Event], client: ClientRun, outcome: Outcome, reason: str
) -> None:
    finding = judge(case("reject"), seen, client)
    assert finding.outcome == outcome
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("seen", "client", "outcome"),
    [
        ([*ASKED, closed()], FINE, "pass"),
        ([*ASKED, closed()], FAILED, "pass"),
        ([*ASKED, closed()], HUNG, "pass"),
        ([*OPENED, closed()], FAILED, "pass"),
        ([connected(), Plaintext(time=0, connection=1), sent(encrypted=False)], FINE, "pass"),
        (LEFT, FAILED, "too-strict"),
        ([*SHOWN, completed(), closed()], FINE, "too-strict"),
        ([], FAILED, "inconclusive"),
        (LEFT, HUNG, "inconclusive"),
    ],
)
def test_a_certificate_that_must_be_accepted(
    seen: Sequence[Event], client: ClientRun, outcome: Outcome
) -> None:
    assert judge(case("accept"), seen, client).outcome == outcome


def test_credentials_are_named_and_never_shown() -> None:
    secret = "s3cr3t-of-the-test"  # noqa: S105
    seen = [*SHOWN, sent(), request("/a.B/C?key=hush", ("authorization", f"Bearer {secret}"))]
    said = ClientRun(f"exit code 1: no answer to {secret}", failed=True, ended=True)
    finding = judge(case(), seen, said)
    assert finding.reason == "accepted; read: /a.B/C; headers; credentials: authorization"
    assert finding.said == "exit code 1: no answer to …"
    assert secret not in repr(finding)


def test_what_is_no_secret_is_quoted_as_it_is() -> None:
    """The twin: the same words under a name that is no credential's."""
    seen = [*SHOWN, sent(), request("/a.B/C", ("x-region", "north-by-northwest"))]
    said = ClientRun("exit code 1: no answer from north-by-northwest", failed=True)
    assert judge(case(), seen, said).said == said.said


@pytest.mark.parametrize(
    ("outcome", "severity", "plainly", "strictly"),
    [
        ("vulnerable", "must", True, True),
        ("vulnerable", "should", False, True),
        ("vulnerable", "info", False, False),
        ("too-strict", "must", False, True),
        ("too-strict", "should", False, True),
        ("too-strict", "info", False, False),
        ("pass", "must", False, False),
        ("unsupported", "must", False, False),
        ("inconclusive", "must", False, False),
    ],
)
def test_what_fails_a_build(outcome: Outcome, severity: str, plainly: bool, strictly: bool) -> None:
    finding = Finding(case(severity=severity), outcome, "")
    assert finding.fails() is plainly
    assert finding.fails(strict=True) is strictly


def test_a_report_needs_both_controls() -> None:
    good, bad = Finding(case("accept"), "pass", ""), Finding(case("accept"), "too-strict", "")
    assert Report((good, good), ()).conclusive
    for controls in ((bad,), (good,), (good, bad), (bad, good)):
        assert not Report(controls, ()).conclusive


def test_nothing_read_is_said_to_be_nothing() -> None:
    evidence = judge(case(), LEFT, FAILED).evidence
    assert evidence
    assert describe(evidence) == "nothing"
