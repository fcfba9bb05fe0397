"""What is made of the events of one certificate: tables, where each line has a twin."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from mitm.audit import Case, ClientRun, Finding, Report
from mitm.audit.finding import Outcome, judge, with_crashes
from mitm.events import (
    Alert,
    ApplicationData,
    CertificatePresented,
    ClientHello,
    Closed,
    Connected,
    Event,
    Frame,
    HandshakeCompleted,
    Headers,
    Message,
    ParseFailed,
    PartialFrame,
    Plaintext,
    UpstreamFailed,
)
from mitm.evidence import Observation, Observer, describe
from mitm.evidence.connection import SeenConnection
from mitm.evidence.observer import MAX_CALLS, MAX_MESSAGES, MAX_SECRETS, NOT_KEPT
from mitm.programs import A_PANIC
from tests.audit.findings import SUBJECT

# Of which tokens are made (RFC 9110 section 11.2), from which bytes are drawn.
ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FAILED = ClientRun("ended", said="exit code 1", failed=True, exit_code=1)
FINE = ClientRun("ended", said="exit code 0", exit_code=0)
HUNG = ClientRun("still-running", failed=True, until=10)
RAISED = ClientRun("returned", failed=True)
RETURNED = ClientRun("returned")
CRASHED = ClientRun("ended", said="ended by SIGABRT", failed=True, exit_code=-6, crash="SIGABRT")
LEFT_A_CHILD = ClientRun("ended", failed=True, exit_code=1, left_behind=("python3",))


def judged(
    case: Case, seen: Sequence[Event], client: ClientRun, control: Observation | None = None
) -> Finding:
    observer = Observer()
    for event in seen:
        observer(event)
    return judge(case, observer, client, control)


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
        chain=None,
    )


def connected(number: int = 1) -> Event:
    return Connected(time=0, connection=number, client="127.0.0.1:1")


def hello(cipher: str, number: int = 1, *algorithms: str) -> Event:
    return ClientHello(
        time=0,
        connection=number,
        server_name="localhost",
        alpn=("h2",),
        versions=("TLSv1.3",),
        cipher_suites=(cipher,),
        signature_algorithms=algorithms,
    )


def presented(number: int = 1) -> Event:
    return CertificatePresented(
        time=0,
        connection=number,
        certificate="a-case",
        subjects=(),
        issuer="",
        sha256="",
        key="ecdsa",
    )


def completed(number: int = 1) -> Event:
    return HandshakeCompleted(time=0, connection=number, version="TLSv1.3", cipher="", alpn="h2")


def sent(sample: bytes = PREFACE, *, encrypted: bool = True, number: int = 1) -> Event:
    return ApplicationData(
        time=0, connection=number, direction="client", encrypted=encrypted, sample=sample
    )


def frame(
    kind: str, stream: int = 0, *, length: int = 0, detail: str = "", number: int = 1
) -> Event:
    return Frame(
        time=0,
        connection=number,
        direction="client",
        stream=stream,
        type=kind,
        flags=(),
        length=length,
        detail=detail,
    )


def request(path: str = "/a.B/C", *headers: tuple[str, str], number: int = 1) -> Event:
    return Headers(
        time=0,
        connection=number,
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


def closed(
    by: str = "client",
    how: str = "eof",
    number: int = 1,
    reason: str = "",
    *,
    received: int = 0,
    time: float = 0,
) -> Event:
    assert by in ("client", "attacker", "server")
    return Closed(
        time=time,
        connection=number,
        by="client" if by == "client" else "server" if by == "server" else "attacker",
        how="eof" if how == "eof" else "alert" if how == "alert" else "error",
        phase="handshake",
        client_bytes=received,
        reason=reason,
    )


SHOWN = [connected(), presented()]
LEFT = [*SHOWN, closed()]
OPENED = [*SHOWN, completed(), sent(), frame("SETTINGS")]
ASKED = [*OPENED, frame("HEADERS", 1), request(), message()]
ALERT = Alert(time=0, connection=1, by="client", name="unknown_ca", number=48)
PINGS = [frame("PING", length=8, detail=f"{number:016x}") for number in range(100)]
OFFERED_NOTHING = closed("attacker", "error", reason="no suitable signature algorithm")
NO_GROUP = closed("attacker", "error", reason="no suitable key share")
ILL_ANSWERED = ParseFailed(time=0, connection=1, direction="server", reason="rubbish")
RUBBISH = ParseFailed(time=0, connection=1, direction="client", reason="rubbish")


def again(count: int) -> list[Event]:
    """A client that comes so many times, and refuses each time."""
    return [
        event
        for number in range(1, count + 1)
        for event in (connected(number), presented(number), closed(number=number))
    ]


@pytest.mark.parametrize(
    ("seen", "client", "outcome", "reason"),
    [
        # It sent something.
        ([*ASKED, closed()], FINE, "vulnerable", "accepted; read: /a.B/C; 1 message"),
        ([*ASKED, closed()], FAILED, "vulnerable", "accepted; read: /a.B/C"),
        ([*ASKED, closed()], HUNG, "vulnerable", "accepted; read: /a.B/C"),
        (ASKED, CRASHED, "vulnerable", "accepted; read: /a.B/C"),
        (ASKED, LEFT_A_CHILD, "vulnerable", "accepted; read: /a.B/C"),
        ([*SHOWN, sent(b"GET /"), closed()], FAILED, "vulnerable", "that are not HTTP/2"),
        ([connected(), sent(encrypted=False)], FINE, "vulnerable", "no encryption"),
        # It retried, and one of several times is enough.
        ([*LEFT, connected(2), presented(2), sent(b"x", number=2)], FAILED, "vulnerable", "read"),
        ([*again(5), connected(6), presented(6), sent(b"x", number=6)], HUNG, "vulnerable", "read"),
        # It sent a part of a request, or something that is none.
        ([*OPENED, frame("HEADERS", 1), closed()], FAILED, "vulnerable", "a part of a request"),
        (
            [*OPENED, PartialFrame(time=0, connection=1, type="HEADERS", received=20)],
            RAISED,
            "vulnerable",
            "a part of a request",
        ),
        ([*OPENED, closed(received=200)], FAILED, "vulnerable", "a part of a request"),
        (
            [*OPENED, ILL_ANSWERED, closed(received=200)],
            FAILED,
            "vulnerable",
            "a part of a request",
        ),
        ([*OPENED, RUBBISH, closed()], FAILED, "vulnerable", "that are not HTTP/2"),
        ([*OPENED, frame("0x2A", length=30), closed()], FAILED, "vulnerable", "control frames"),
        (
            [*OPENED, frame("GOAWAY", length=30, detail="NO_ERROR, last stream 0, 'x'"), closed()],
            FAILED,
            "vulnerable",
            "control frames",
        ),
        (
            [*OPENED, frame("SETTINGS", length=6, detail="0x1234=1"), closed()],
            FAILED,
            "vulnerable",
            "control frames",
        ),
        (
            [*OPENED, frame("PING", length=8, detail=b"s3cret-t".hex()), closed()],
            FAILED,
            "vulnerable",
            "control frames",
        ),
        ([*OPENED, *PINGS, closed()], FAILED, "vulnerable", "control frames"),
        ([*SHOWN, sent(PREFACE[:9]), closed(received=50)], FAILED, "vulnerable", "not HTTP/2"),
        (
            [*OPENED, structs.replace(frame("SETTINGS"), flags=("0x70",)), closed()],
            FAILED,
            "vulnerable",
            "control frames",
        ),
        (
            [*OPENED, frame("GOAWAY", length=8, detail="0x73337363, last stream 0"), closed()],
            FAILED,
            "vulnerable",
            "control frames",
        ),
        # The other connection opened HTTP/2 and was left: that excuses one of them alone.
        (
            [*OPENED, closed(), connected(2), presented(2), sent(b"GET /", number=2)],
            FAILED,
            "vulnerable",
            "that are not HTTP/2",
        ),
        # It left.
        (LEFT, FAILED, "pass", "closed without an alert, during the handshake"),
        ([*SHOWN, ALERT, closed(how="alert")], FAILED, "pass", "alert unknown_ca (48), during"),
        ([*SHOWN, completed(), closed()], FAILED, "pass", "without an alert, after the handshake"),
        (LEFT, FINE, "pass", "yet the client reports success"),
        (LEFT, CRASHED, "pass", "and it crashed: SIGABRT"),
        # So it does that offers nothing which an attacker could use.
        (
            [connected(), hello("A"), presented(), closed("attacker", reason="no shared cipher")],
            FAILED,
            "pass",
            "offers nothing that this could be served with",
        ),
        (
            [connected(), hello("A", 1, "rsa_pss_rsae_sha256"), presented(), OFFERED_NOTHING],
            FAILED,
            "pass",
            "offers nothing that this could be served with",
        ),
        # It does not that could have been served by somebody who is less particular.
        (
            [connected(), hello("A", 1, "ecdsa_secp256r1_sha256"), presented(), OFFERED_NOTHING],
            FAILED,
            "unsupported",
            "an attacker need not",
        ),
        # Nor that offers key exchanges which OpenSSL here does not know: another library may.
        (
            [connected(), hello("A"), presented(), NO_GROUP],
            FAILED,
            "inconclusive",
            "did not decide: no suitable key share",
        ),
        # It opened HTTP/2, and thought better of it: it has left, or ended.
        ([*OPENED, closed()], FAILED, "pass", "opened HTTP/2, but made no call"),
        ([*OPENED, closed()], FINE, "pass", "yet the client reports success"),
        ([*OPENED, frame("SETTINGS", detail="0xFE03=1, MAX_FRAME_SIZE=16384")], RAISED, "pass", ""),
        ([*OPENED, frame("PING", length=8, detail="7f" * 8), closed()], FAILED, "pass", "no call"),
        # However often: it says nothing new.
        ([*OPENED, *1000 * PINGS[:1], closed()], FAILED, "pass", "no call"),
        (
            [*OPENED, frame("GOAWAY", length=8, detail="NO_ERROR, last 0"), closed()],
            FAILED,
            "pass",
            "",
        ),
        ([*SHOWN, sent(PREFACE[:9]), closed(received=9)], FAILED, "pass", "no call"),
        (OPENED, RAISED, "pass", "opened HTTP/2, but made no call"),
        ([*OPENED, ILL_ANSWERED, closed(received=33)], FAILED, "pass", "but made no call"),
        (OPENED, RETURNED, "pass", "yet the client reports success"),
        # It is still trying, and has rejected again and again.
        (again(5), HUNG, "pass", "5 times; it was still trying"),
        ([*again(5), connected(6), presented(6)], HUNG, "pass", "it was still trying"),
        # It reset one connection at once, and rejected on another.
        (
            [connected(2), hello("A", 2), closed(how="error", number=2), *LEFT],
            FAILED,
            "pass",
            "rejected",
        ),
        # Nothing can be said.
        ([], FAILED, "inconclusive", "the client never connected (exit code 1)"),
        (LEFT, HUNG, "inconclusive", "was still running when its time was up"),
        (OPENED, HUNG, "inconclusive", "it may have been about to"),
        ([*OPENED, closed(time=11)], HUNG, "inconclusive", "it may have been about to"),
        ([*OPENED, *again(6)[3:]], HUNG, "inconclusive", "it may have been about to"),
        (SHOWN, HUNG, "inconclusive", "has not left"),
        (LEFT, LEFT_A_CHILD, "inconclusive", "was still running when it had ended (python3)"),
        ([*OPENED, closed("server")], FAILED, "inconclusive", "the server ended the connection"),
        ([*OPENED, ILL_ANSWERED], RAISED, "inconclusive", "nor what came after it"),
        ([connected(), closed()], FAILED, "inconclusive", "before it was shown anything"),
        (SHOWN, FAILED, "inconclusive", "sent nothing, but has not left either"),
        ([*LEFT, connected(2), presented(2)], FAILED, "inconclusive", "has not left either"),
        ([*SHOWN, closed("server")], FAILED, "inconclusive", "the server ended the connection"),
        (
            [*SHOWN, closed("attacker", "error", reason="this is why")],
            FAILED,
            "inconclusive",
            "did not decide: this is why",
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
    finding = judged(case("reject"), seen, client)
    assert finding.outcome == outcome
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("seen", "client", "outcome"),
    [
        ([*ASKED, closed()], FINE, "pass"),
        ([*ASKED, closed()], FAILED, "pass"),
        ([*ASKED, closed()], HUNG, "pass"),
        ([*SHOWN, completed(), sent(b"GET /"), closed()], FINE, "pass"),
        (
            [connected(), Plaintext(time=0, connection=1), sent(encrypted=False)],
            FINE,
            "inconclusive",
        ),
        (
            [connected(), Plaintext(time=0, connection=1), sent(encrypted=False), request()],
            FINE,
            "pass",
        ),
        # It is asked for a call: neither an opening nor a part of a request is one.
        ([*OPENED, closed()], FAILED, "too-strict"),
        ([*OPENED, closed()], FINE, "too-strict"),
        (OPENED, HUNG, "inconclusive"),
        ([*OPENED, frame("HEADERS", 1), closed()], FINE, "inconclusive"),
        (LEFT, FAILED, "too-strict"),
        ([*SHOWN, completed(), closed()], FINE, "too-strict"),
        ([], FAILED, "inconclusive"),
        (LEFT, HUNG, "inconclusive"),
        # It was not shown it: OpenSSL declines to, or could not agree with it on a key exchange.
        (
            [connected(), hello("A", 1, "ecdsa_secp256r1_sha256"), presented(), OFFERED_NOTHING],
            FAILED,
            "unsupported",
        ),
        ([connected(), hello("A"), presented(), NO_GROUP], FAILED, "inconclusive"),
        # It offers nothing that a sound certificate of this kind could be served with.
        (
            [connected(), hello("A", 1, "rsa_pss_rsae_sha256"), presented(), OFFERED_NOTHING],
            FAILED,
            "too-strict",
        ),
        (
            [connected(), hello("A"), presented(), closed("attacker", reason="no shared cipher")],
            FAILED,
            "too-strict",
        ),
    ],
)
def test_a_certificate_that_must_be_accepted(
    seen: Sequence[Event], client: ClientRun, outcome: Outcome
) -> None:
    assert judged(case("accept"), seen, client).outcome == outcome


def two_kinds(*numbers: int) -> list[Event]:
    """A client that makes an HTTPS request with one TLS stack, and then a call with another."""
    first = [connected(1), hello("A", 1), presented(1), completed(1), sent(b"GET /", number=1)]
    second = [connected(2), hello("B", 2), presented(2), completed(2), sent(number=2)]
    second += [frame("SETTINGS", number=2), request(number=2)]
    events = {1: first, 2: second}
    return [event for number in numbers for event in events[number]]


def test_a_kind_of_connection_that_was_not_attacked_is_not_proved() -> None:
    control = judged(case("accept"), two_kinds(1, 2), FINE).observation
    alone = judged(case("accept"), two_kinds(2), FINE).observation
    assert control
    assert alone
    first = [connected(1), hello("A", 1), presented(1), closed()]
    second = [connected(2), hello("B", 2), presented(2), closed(number=2)]
    finding = judged(case(), first, FAILED, control)
    assert finding.outcome == "inconclusive"
    assert "of one (HTTP/2) nothing is proved" in finding.reason
    # The twins: both were attacked, or there is one kind only.
    assert judged(case(), [*first, *second], FAILED, control).outcome == "pass"
    assert judged(case(), second, FAILED, alone).outcome == "pass"
    assert judged(case(), [*first, *two_kinds(2)], FAILED, control).outcome == "vulnerable"


def test_what_was_accepted_on_one_kind_of_connection_was_accepted() -> None:
    """A connection that was not attacked leaves a forgery in doubt, not a sound certificate."""
    control = judged(case("accept"), two_kinds(1, 2), FINE).observation
    assert judged(case("accept"), two_kinds(2), FINE, control).outcome == "pass"


def test_a_service_goes_on_after_what_it_rejected_as_after_its_call() -> None:
    service = judged(case("accept"), ASKED, HUNG).observation
    assert judged(case(), LEFT, HUNG, service).outcome == "pass"
    program = judged(case("accept"), ASKED, FINE).observation
    assert judged(case(), LEFT, HUNG, program).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("seen", "client", "outcome", "crash"),
    [
        (LEFT, CRASHED, "pass", "ended by SIGABRT"),
        (ASKED, CRASHED, "vulnerable", "ended by SIGABRT"),
        (SHOWN, HUNG, "inconclusive", "neither went on nor left"),
        (LEFT, FAILED, "pass", ""),
        ([*LEFT, connected(2), presented(2)], HUNG, "inconclusive", ""),
    ],
)
def test_a_crash_is_a_finding_of_its_own(
    seen: Sequence[Event], client: ClientRun, outcome: Outcome, crash: str
) -> None:
    first, *more = with_crashes([judged(case(), seen, client)])
    assert first.outcome == outcome
    assert len(more) == bool(crash)
    for finding in more:
        assert (finding.case.name, finding.outcome) == ("a-case:crash", "crashed")
        assert (finding.case.severity, finding.case.cwe) == ("should", (248, 617))
        assert crash in finding.reason
        assert finding.fails(strict=True)
        assert not finding.fails()


def test_who_may_take_a_certificate_or_leave_it_must_still_answer() -> None:
    first, hanging = with_crashes([judged(case("accept"), SHOWN, HUNG)])
    assert first.outcome == "inconclusive"
    assert (hanging.case.expect, hanging.outcome) == ("reject", "crashed")
    assert "neither went on nor left" in hanging.reason
    answered = judged(case("accept"), LEFT, FAILED)
    assert [*with_crashes([answered])] == [answered]


def test_a_client_that_ends_like_that_after_the_genuine_one_too_is_not_crashed_by_others() -> None:
    finding = judged(case(), LEFT, CRASHED)
    assert list(with_crashes([finding], ["SIGABRT"])) == [finding]
    *_, crashed = with_crashes([finding], ["SIGSEGV"])
    assert crashed.outcome == "crashed"


def test_a_client_that_ends_so_when_its_calls_are_done_is_not_crashed_by_what_it_refuses() -> None:
    refused, done = judged(case(), LEFT, CRASHED), judged(case("accept"), ASKED, CRASHED)
    assert done.outcome == "pass"
    assert list(with_crashes([done, refused, done])) == [done, refused, done]
    # Once may be the certificate's doing; and what it refused, or did otherwise, says nothing.
    for other in (
        judged(case("accept"), ASKED, FINE),
        judged(case("accept"), LEFT, CRASHED),
        judged(case("accept"), ASKED, ClientRun("ended", failed=True, crash="SIGSEGV")),
    ):
        crashed = [each.outcome for each in with_crashes([done, refused, other])]
        assert crashed.count("crashed") >= 2


@pytest.mark.parametrize(("crash", "own"), [(A_PANIC, True), ("SIGABRT", False)])
def test_a_panic_may_be_of_the_clients_own(crash: str, own: bool) -> None:
    run = ClientRun("ended", said=f"ended by {crash}", failed=True, crash=crash)
    *_, crashed = with_crashes([judged(case(), LEFT, run)])
    assert ("Handle the error" in crashed.fix) == own
    assert "TLS library" in crashed.fix


def test_credentials_are_named_and_never_shown() -> None:
    secret = "s3cr3t-of-the-test"  # noqa: S105
    seen = [*SHOWN, sent(), request("/a.B/C?key=hush", ("authorization", f"Bearer {secret}"))]
    said = ClientRun("ended", said=f"exit code 1: no answer to {secret}", failed=True)
    finding = judged(case(), seen, said)
    assert finding.reason == "accepted; read: /a.B/C; headers; credentials: authorization"
    assert finding.said == "exit code 1: no answer to …"
    assert secret not in finding.reason + finding.said + repr(finding.evidence)


def test_a_long_credential_is_masked_before_what_was_said_is_cut() -> None:
    secret = "c2VjcmV0" * 40
    said = f"exit code 1: {'x' * 150} {secret} CERTIFICATE_VERIFY_FAILED"
    lines = (f"token {secret}", "CERTIFICATE_VERIFY_FAILED")
    seen = [*SHOWN, sent(), request("/a.B/C", ("authorization", f"Bearer {secret}"))]
    finding = judged(case(), seen, ClientRun("ended", said, failed=True, last_lines=lines))
    assert "c2VjcmV0" not in finding.said + "".join(finding.last_lines)
    assert finding.said.endswith("… CERTIFICATE_VERIFY_FAILED")
    assert finding.last_lines == ("token …", "CERTIFICATE_VERIFY_FAILED")


def test_what_is_no_secret_is_quoted_as_it_is() -> None:
    """The twin: the same words under a name that is no credential's."""
    seen = [*SHOWN, sent(), request("/a.B/C", ("x-region", "north-by-northwest"))]
    said = ClientRun("ended", said="exit code 1: no answer from north-by-northwest", failed=True)
    assert judged(case(), seen, said).said == said.said


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
    assert Report((good, good), (), SUBJECT).conclusive
    for controls in ((bad,), (good,), (good, bad), (bad, good)):
        assert not Report(controls, (), SUBJECT).conclusive


def test_nothing_read_is_said_to_be_nothing() -> None:
    evidence = judged(case(), LEFT, FAILED).evidence
    assert evidence
    assert describe(evidence) == "nothing"


def test_what_could_not_be_observed_makes_nobody_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SeenConnection, event: Event) -> None:
        raise KeyError(event)

    observer = Observer()
    for event in LEFT:
        observer(event)
    assert judge(case(), observer, FAILED).outcome == "pass"
    with monkeypatch.context() as patched:
        patched.setattr(SeenConnection, "see", fail)
        with pytest.raises(KeyError):
            observer(message())
    finding = judge(case(), observer, FAILED)
    assert (finding.outcome, finding.reason) == (
        "inconclusive",
        "unforeseen: KeyError, while it was observed",
    )


def test_the_evidence_is_bounded_and_no_request_is_lost() -> None:
    """64 KiB of gzip hold 64 MiB: what comes of it is counted, and not kept."""
    observer = Observer()
    for event in ASKED[:-2]:
        observer(event)
    long = structs.replace(message(), value={"text": "x" * 100}, decompressed_size=2**22)
    for number in range(1, 3000):
        observer(structs.replace(request(), stream=2 * number + 1))
        observer(structs.replace(long, stream=2 * number + 1))
    finding = judge(case(), observer, FAILED)
    assert finding.outcome == "vulnerable"
    assert finding.evidence
    assert len(finding.evidence.calls) == MAX_CALLS
    assert finding.evidence.calls[0].requests == (NOT_KEPT,)
    assert finding.evidence.reached == "messages"


def test_a_stream_without_end_is_noted_up_to_a_number_of_messages() -> None:
    """Empty ones as well, which take no room; a call after it is still noted."""
    observer = Observer()
    for event in [*SHOWN, sent(), request()]:
        observer(event)
    empty = structs.replace(message(), value={})
    for _ in range(MAX_MESSAGES + 5):
        observer(empty)
    observer(structs.replace(request("/a.B/D"), stream=3))
    calls = observer.observation(FAILED).evidence.calls
    assert [len(call.requests) for call in calls] == [MAX_MESSAGES, 0]
    assert calls[0].requests[-1] == {}


def test_names_of_credentials_are_bounded() -> None:
    """Short ones leave no secret behind by which they would be counted."""
    seen = [*SHOWN, sent()]
    seen += [request("/a.B/C", (f"x-{number}-token", "short")) for number in range(3000)]
    evidence = judged(case(), seen, FAILED).evidence
    assert evidence
    assert evidence.credentials[0] == "x-0-token"
    assert len(evidence.credentials) == MAX_SECRETS


def test_a_credential_that_is_repeated_counts_on_each_connection() -> None:
    """What a line holds is remembered; where it was read is noted all the same."""
    secret = ("authorization", "Bearer s3cr3t-of-the-test")
    observer = Observer(spared=["genuine"])
    for number, certificate in enumerate(["genuine", "forged"], start=1):
        for event in [*SHOWN, sent(), *2 * [request("/a.B/C", secret)]]:
            seen = structs.replace(event, connection=number)
            if isinstance(seen, CertificatePresented):
                seen = structs.replace(seen, certificate=certificate)
            observer(seen)
            if number == 1:
                assert observer.observation(FAILED).evidence.credentials == ()
    assert observer.observation(FAILED).evidence.credentials == ("authorization",)


def test_lines_that_differ_from_call_to_call_are_all_looked_at() -> None:
    secrets = [f"s3cr3t-number-{number:04}" for number in range(600)]
    seen = [*SHOWN, sent()]
    for secret in secrets:
        lines = ("x-region", "north"), ("authorization", f"Bearer {secret}")
        seen += 2 * [request("/a.B/C", *lines)]
    observer = Observer()
    for event in seen:
        observer(event)
    observation = observer.observation(FAILED)
    assert set(secrets) < set(observation.secrets)
    assert {call.metadata["x-region"] for call in observation.evidence.calls} == {"north"}


@given(st.sampled_from(["SETTINGS", "PING", "WINDOW_UPDATE", "PRIORITY", "GOAWAY", "?"]), st.text())
def test_a_frame_of_a_recording_may_say_anything(kind: str, detail: str) -> None:
    judged(case(), [*OPENED, frame(kind, detail=detail), closed()], FAILED)


@given(st.binary(min_size=8, max_size=8))
def test_a_token_is_found_in_whatever_control_frame_it_is_cut_into(token: bytes) -> None:
    text = token.translate(bytes(ALPHABET[number % len(ALPHABET)] for number in range(256)))
    first, second = (int.from_bytes(text[at : at + 4], "big") for at in (0, 4))
    assume(first != second)
    settings = f"HEADER_TABLE_SIZE={first}, MAX_FRAME_SIZE={second}"
    hidden = [
        [frame("PING", length=8, detail=text.hex())],
        [frame("SETTINGS", length=12, detail=settings)],
        [frame("WINDOW_UPDATE", length=4, detail=f"+{half}") for half in (first, second)],
    ]
    for frames in hidden:
        finding = judged(case(), [*OPENED, *frames, closed()], FAILED)
        assert finding.outcome == "vulnerable", frames
