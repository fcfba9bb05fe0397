"""The verdict on a leg, rule by rule; each that accuses or acquits has a twin that does not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from msgspec import structs

from mitm import events
from mitm.audit.finding import outcome_of
from mitm.events import Event, Party
from mitm.evidence import Act, ClientRun, Evidence, Observation, observe
from mitm.verdict import LegResult, ServerCall, judge_genuine, judge_intercepted
from tests.audit.findings import finding

_GET_USER = "/users.v1.UserService/GetUser"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TOKEN = "Bearer a-token-that-is-long-enough"  # noqa: S105


def _client(
    exit_code: int | None,
    answer: dict[str, object] | None = None,
    problem: str = "",
    crash: str = "",
) -> ClientRun:
    return ClientRun(
        "still-running" if exit_code is None else "ended",
        failed=exit_code != 0,
        problem=problem,
        said=f"ended by {crash}" if crash else "",
        exit_code=exit_code,
        answer=answer,
        crash=crash,
    )


_ANSWERED = _client(0, {"user": {"id": 1, "name": "Nicolas"}})
_FAILED = _client(1, {"error": {"code": "UNAVAILABLE", "message": "no"}})
_HUNG = _client(None)
_CRASHED = _client(-11, crash="SIGSEGV")


def _relayed_call(status: str = "OK", connection: int = 1) -> ServerCall:
    """A call that came to the server from the interceptor's own socket."""
    return ServerCall(_GET_USER, f"127.0.0.1:{50_000 + connection}", status)


_AROUND = ServerCall(_GET_USER, "127.0.0.1:61000", "OK")


def _opened(connection: int = 1, *, tls: bool = True) -> list[Event]:
    """A client that has connected and said what it speaks; the server is reached."""
    hello: Event = events.ClientHello(
        time=0.0,
        connection=connection,
        server_name="localhost",
        alpn=("h2",),
        versions=("TLSv1.3",),
        cipher_suites=(),
    )
    return [
        events.Connected(time=0.0, connection=connection, client="127.0.0.1:40000"),
        hello if tls else events.Plaintext(time=0.0, connection=connection),
        events.UpstreamConnected(
            time=0.0,
            connection=connection,
            address="127.0.0.1:50051",
            local=f"127.0.0.1:{50_000 + connection}",
        ),
    ]


def _presented(connection: int = 1) -> list[Event]:
    return [
        *_opened(connection),
        events.CertificatePresented(
            time=0.0,
            connection=connection,
            certificate="attacker-ca",
            subjects=("CN=localhost",),
            issuer="CN=Attacker CA",
            sha256="",
        ),
    ]


def _accepted(connection: int = 1) -> list[Event]:
    """The handshake is completed. Not one byte of application data yet."""
    return [
        *_presented(connection),
        events.HandshakeCompleted(
            time=0.0, connection=connection, version="TLSv1.3", cipher="", alpn="h2"
        ),
    ]


def _sent(connection: int = 1, *, encrypted: bool = True, sample: bytes = _PREFACE) -> Event:
    return events.ApplicationData(
        time=0.0, connection=connection, direction="client", encrypted=encrypted, sample=sample
    )


def _request(connection: int = 1, stream: int = 1, *more: tuple[str, str]) -> Event:
    return events.Headers(
        time=0.0,
        connection=connection,
        direction="client",
        stream=stream,
        kind="request",
        method=_GET_USER,
        headers=((":path", _GET_USER), ("te", "trailers"), *more),
    )


def _message(
    value: dict[str, object] | None,
    *,
    stream: int = 1,
    direction: events.Direction = "client",
    raw: bytes | None = None,
) -> Event:
    return events.Message(
        time=0.0,
        connection=1,
        direction=direction,
        stream=stream,
        method=_GET_USER,
        type="",
        size=2,
        value=value,
        raw=raw,
    )


def _trailers(status: str, stream: int = 1) -> Event:
    return events.Headers(
        time=0.0,
        connection=1,
        direction="server",
        stream=stream,
        kind="trailers",
        method=_GET_USER,
        headers=(("grpc-status", status),),
        end_stream=True,
    )


def _alert(name: str, number: int, connection: int = 1, by: Party = "client") -> Event:
    return events.Alert(time=0.0, connection=connection, by=by, name=name, number=number)


def _closed(
    connection: int = 1,
    *,
    by: Party = "client",
    how: str = "eof",
    phase: str = "handshake",
    reason: str = "",
) -> Event:
    return events.Closed(
        time=0.0,
        connection=connection,
        by=by,
        how=how,  # type: ignore[arg-type]
        phase=phase,  # type: ignore[arg-type]
        reason=reason,
    )


def _judged(seen: Sequence[Event], client: ClientRun, calls: Sequence[ServerCall]) -> LegResult:
    return judge_intercepted(observe(seen, client), client, calls)


def _evidence(seen: Sequence[Event]) -> Evidence:
    return observe(seen, _FAILED).evidence


def _verdict(
    seen: Sequence[Event], client: ClientRun = _FAILED, calls: Sequence[ServerCall] = ()
) -> str:
    return _judged(seen, client, calls).verdict


def _reason(
    seen: Sequence[Event], client: ClientRun = _FAILED, calls: Sequence[ServerCall] = ()
) -> str:
    return _judged(seen, client, calls).reason


# Rule 1: a completed handshake is not a compromise; only application bytes are.


def test_a_client_that_leaves_after_the_handshake_without_a_byte_has_aborted() -> None:
    """gRPC's C core checks the name only then."""
    assert _verdict([*_accepted(), _closed(phase="established")]) == "aborted"


@pytest.mark.parametrize("sample", [b"P", b"GET / HTTP/1.1\r\n", b"\0", _PREFACE[:-1] + b"!"])
def test_a_client_that_sends_any_byte_is_compromised(sample: bytes) -> None:
    seen = [*_accepted(), _sent(sample=sample), _closed(phase="established")]
    assert _verdict(seen) == "compromised"


def test_the_opening_of_http_2_is_nobodys_data() -> None:
    """gRPC's C core checks the name once more for each call, and leaves behind its opening."""
    opened = [*_accepted(), _sent()]
    assert _verdict([*opened, _closed(phase="established")]) == "aborted"
    assert _verdict(opened) == "inconclusive"
    assert _verdict([*opened, _request(), _closed(phase="established")]) == "compromised"


def test_what_cannot_be_read_of_a_stream_is_no_opening() -> None:
    def lost(direction: Literal["client", "server"]) -> Event:
        return events.ParseFailed(
            time=0.0, connection=1, direction=direction, reason="odd", stream=1
        )

    opened = [*_accepted(), _sent()]
    for end in ([_closed(phase="established")], []):
        assert _verdict([*opened, lost("client"), *end]) == "compromised"
    # The twin: it is another who says what cannot be read.
    assert _verdict([*opened, lost("server"), _closed(phase="established")]) == "aborted"


def test_what_the_server_sends_first_compromises_nobody() -> None:
    answer = events.ApplicationData(
        time=0.0, connection=1, direction="server", encrypted=True, sample=b"\0\0\0"
    )
    assert _verdict([*_accepted(), answer, _closed(phase="established")]) == "aborted"


def test_a_client_that_sends_the_same_bytes_without_tls_is_exposed() -> None:
    seen = [*_opened(tls=False), _sent(encrypted=False), _closed(phase="established")]
    assert _verdict(seen) == "exposed"


def test_a_client_of_both_kinds_is_compromised() -> None:
    seen = [*_opened(1, tls=False), _sent(1, encrypted=False), *_accepted(2), _sent(2), _request(2)]
    assert _verdict(seen) == "compromised"


# Rule 2: an alert is not needed for an abort, and it is told which it was.


@pytest.mark.parametrize(
    "end",
    [
        [_alert("unknown_ca", 48), _closed(how="alert")],
        [_closed(how="eof")],
        [_closed(how="reset")],
        [_alert("close_notify", 0), _closed(how="alert")],
    ],
    ids=["alert", "eof", "reset", "close_notify"],
)
def test_a_client_aborts_with_or_without_an_alert(end: list[Event]) -> None:
    assert _verdict([*_presented(), *end]) == "aborted"


def test_an_alert_does_not_undo_what_was_sent_before_it() -> None:
    alert = _alert("bad_certificate", 42)
    seen = [*_accepted(), _sent(), _request(), alert, _closed(how="alert", phase="established")]
    assert _verdict(seen) == "compromised"


def test_the_evidence_says_how_each_connection_ended() -> None:
    seen = [
        *_presented(1),
        _alert("unknown_ca", 48, 1),
        _closed(1, how="alert"),
        *_accepted(2),
        _closed(2, how="eof", phase="established"),
    ]
    first, second = _evidence(seen).connections
    assert (first.accepted, first.by, first.how, first.phase) == (
        False,
        "client",
        "alert",
        "handshake",
    )
    assert first.alert == "unknown_ca (48)"
    assert (second.accepted, second.how, second.phase, second.alert) == (
        True,
        "eof",
        "established",
        "",
    )


def test_an_alert_of_the_server_is_not_told_of_the_client() -> None:
    seen = [*_accepted(), _alert("user_canceled", 90, by="server"), _closed(phase="established")]
    (ending,) = _evidence(seen).connections
    assert (ending.by, ending.alert) == ("client", "")


# Rule 4: the witnesses must agree.


def test_an_abort_takes_a_client_that_reports_its_failure() -> None:
    seen = [*_presented(), _closed()]
    assert _verdict(seen, _FAILED) == "aborted"
    assert _verdict(seen, _ANSWERED) == "inconclusive"
    assert "answer" in _reason(seen, _ANSWERED)


@pytest.mark.parametrize("client", [_HUNG, _client(2), _client(1, problem="it printed rubbish")])
def test_a_client_that_broke_down_proves_nothing(client: ClientRun) -> None:
    assert _verdict([*_presented(), _closed()], client) == "inconclusive"
    assert _verdict([], client) in ("inconclusive", "unreached")


def test_a_client_that_crashes_of_the_certificate_has_let_nobody_in() -> None:
    seen = [*_accepted(), _closed(how="reset", phase="established")]
    assert _verdict(seen, _CRASHED) == "aborted"
    assert "crashed: SIGSEGV" in _reason(seen, _CRASHED)
    assert _verdict([*_accepted(), _sent(), _request(), _closed()], _CRASHED) == "compromised"


def test_a_client_that_is_still_trying_has_rejected_if_it_has_done_so_again_and_again() -> None:
    seen = [event for n in range(1, 6) for event in (*_presented(n), _closed(n))]
    assert _verdict(seen, _HUNG) == "aborted"
    assert "5 times; it was still trying" in _reason(seen, _HUNG)
    assert _verdict(seen[:5], _HUNG) == "inconclusive"
    assert _verdict([*seen, *_accepted(6), _sent(6), _request(6)], _HUNG) == "compromised"


@pytest.mark.parametrize("client", [_ANSWERED, _FAILED, _HUNG, _CRASHED])
def test_what_was_decrypted_stays_decrypted_whatever_became_of_the_client(
    client: ClientRun,
) -> None:
    assert _verdict([*_accepted(), _sent(), _request()], client) == "compromised"
    assert _verdict([*_opened(tls=False), _sent(encrypted=False)], client) == "exposed"


def test_a_call_that_reached_the_server_round_the_interceptor_is_no_abort() -> None:
    seen = [*_presented(), _closed()]
    for client in (_ANSWERED, _FAILED):
        assert _verdict(seen, client, [_AROUND]) == "inconclusive"
        assert "not through the interceptor" in _reason(seen, client, [_AROUND])


def test_a_client_that_dialled_the_server_itself_is_not_just_unreached() -> None:
    assert _verdict([], _ANSWERED, [_AROUND]) == "inconclusive"


def test_a_call_on_the_interceptors_socket_that_it_did_not_see_is_no_abort() -> None:
    seen = [*_accepted(), _closed(phase="established")]
    assert _verdict(seen, _FAILED, [_relayed_call()]) == "inconclusive"
    assert _verdict(seen, _FAILED, []) == "aborted"


def test_a_compromise_that_all_witnesses_confirm_is_told_without_a_but() -> None:
    seen = [*_accepted(), _sent(), _request(), _message({}), _closed(phase="established")]
    assert ";" not in _reason(seen, _ANSWERED, [_relayed_call()])
    assert ";" not in _reason(seen, _FAILED, [_relayed_call("NOT_FOUND")])


@pytest.mark.parametrize(
    ("client", "calls", "but"),
    [
        (_FAILED, [], "the server has no record of a call"),
        (_ANSWERED, [], "an answer that the server has no record of"),
        (_ANSWERED, [_relayed_call("CANCELLED")], "an answer that the server has no record of"),
        (_ANSWERED, [_relayed_call(), _AROUND], "without passing the interceptor"),
    ],
)
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_witness_that_disagrees_is_quoted(
    client: ClientRun, calls: list[ServerCall], but: str, encrypted: bool
) -> None:
    opened = _accepted() if encrypted else _opened(tls=False)
    seen = [*opened, _sent(encrypted=encrypted), _request(), _message({}), _closed()]
    assert _verdict(seen, client, calls) == ("compromised" if encrypted else "exposed")
    assert but in _reason(seen, client, calls)


def test_a_server_that_sees_somebody_between_hears_of_the_call_from_there() -> None:
    seen = [*_accepted(), _sent(), _request(), _message({}), _closed(phase="established")]
    observation = observe(seen, _ANSWERED)
    behind = judge_intercepted(observation, _ANSWERED, [_AROUND], direct=False)
    assert (behind.verdict, ";" in behind.reason) == ("compromised", False)
    # The twin: nobody is between them.
    assert "without passing" in judge_intercepted(observation, _ANSWERED, [_AROUND]).reason


def _refusal(*, presented: bool, alert: tuple[str, int] | None, how: str = "alert") -> Event:
    name, number = alert or ("", None)
    return events.ClientCertificateRefused(
        time=0.0,
        connection=1,
        address="127.0.0.1:50051",
        how=how,  # type: ignore[arg-type]
        presented=presented,
        alert=name,
        number=number,
    )


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            _refusal(presented=False, alert=("certificate_required", 116)),
            "the server refused the attacker, who has no client certificate: alert "
            "certificate_required (116)",
        ),
        (
            _refusal(presented=True, alert=None, how="eof"),
            "the server refused the attacker's client certificate: no alert",
        ),
    ],
)
def test_a_server_that_has_refused_the_attacker_need_not_have_heard_of_the_call(
    refusal: Event, said: str
) -> None:
    sent = [*_accepted(), _sent(), _request(), _message({}), _closed(phase="established")]
    seen = [sent[0], refusal, *sent[1:]]
    reason = _reason(seen, _FAILED, [])
    assert reason.endswith(f"; {said}")
    assert _evidence(seen).server_refused == said
    assert _verdict(seen, _FAILED, []) == "compromised"
    # A client that reports an answer has it from nobody.
    assert "no record of" in _reason(seen, _ANSWERED, [])
    # The twin: nobody has refused, and nobody has heard of it.
    assert "the server has no record of a call" in _reason(sent, _FAILED, [])
    assert not _evidence(sent).server_refused
    # Whoever left has left all the same.
    left = [*_accepted(), _closed(phase="established")]
    assert _verdict([left[0], refusal, *left[1:]], _FAILED, []) == "aborted"


def test_what_a_client_gives_away_of_itself_is_evidence_and_no_data() -> None:
    shown = events.ClientCertificate(
        time=0.0, connection=1, subject="CN=c", issuer="CN=i", names=("c.example",), proved=True
    )
    none = events.ClientCertificate(time=0.0, connection=1)
    left = [*_accepted(), _closed(phase="established")]
    assert _verdict([left[0], shown, *left[1:]], _FAILED, []) == "aborted"
    identity = _evidence([left[0], shown, *left[1:]]).client_certificate
    assert identity
    assert (identity.subject, identity.names, identity.proved) == ("CN=c", ("c.example",), True)
    assert _evidence([left[0], none, *left[1:]]).client_certificate is None


def test_a_server_need_not_have_heard_of_a_call_that_was_not_sent_whole() -> None:
    seen = [*_accepted(), _sent(), _request(), _closed(phase="established")]
    assert ";" not in _reason(seen, _FAILED, [])


# Rule 5: over all connections of the leg.


def test_trust_on_first_use_connects_twice_and_is_compromised() -> None:
    seen = [
        *_accepted(1),
        _closed(1, how="close-notify", phase="established"),  # it only fetched the certificate
        *_accepted(2),
        _sent(2),
        _request(2),
        _closed(2, phase="established"),
    ]
    assert _verdict(seen, _ANSWERED, [_relayed_call(connection=2)]) == "compromised"
    assert _verdict(seen[:6], _FAILED) == "aborted"


def test_a_client_that_retries_aborts_each_time() -> None:
    seen = [event for n in range(1, 5) for event in (*_presented(n), _closed(n))]
    assert _verdict(seen) == "aborted"
    assert _verdict([*seen, *_accepted(5), _sent(5), _request(5), _closed(5)]) == "compromised"


def test_a_client_that_is_still_there_has_not_left() -> None:
    seen = [*_presented(1), _closed(1), *_presented(2)]
    assert _verdict(seen) == "inconclusive"
    assert _verdict([*seen, _closed(2)]) == "aborted"


# Nothing is proved.


def test_a_client_that_never_connected_is_unreached() -> None:
    assert _verdict([]) == "unreached"
    assert _verdict([*_presented(), _closed()]) != "unreached"


def test_a_client_that_was_turned_away_for_want_of_a_server_proves_nothing() -> None:
    failed = events.UpstreamFailed(
        time=0.0, connection=1, address="127.0.0.1:50051", reason="Connection refused"
    )
    connected = _opened()[:2]
    seen = [*connected, failed, _closed(by="attacker", how="error", phase="hello")]
    assert _verdict(seen) == "inconclusive"
    assert "Connection refused" in _reason(seen)
    # Even if it left another connection by itself: it might have stayed in this one.
    assert _verdict([*seen, *_presented(2), _closed(2)]) == "inconclusive"


def test_a_client_that_was_shown_no_certificate_proves_nothing() -> None:
    seen = [_opened()[0], _closed(phase="hello")]
    assert _verdict(seen) == "inconclusive"
    # A probe beside the real attempt does no harm.
    assert _verdict([*seen, *_presented(2), _closed(2)]) == "aborted"


@pytest.mark.parametrize("how", ["time-limit", "not-tls", "error"])
def test_a_connection_that_the_interceptor_ended_proves_nothing(how: str) -> None:
    seen = [*_presented(1), _closed(1, by="attacker", how=how, reason="this is why")]
    assert _verdict(seen) == "inconclusive"
    assert "this is why" in _reason(seen)
    assert _verdict([*seen, *_presented(2), _closed(2)]) == "inconclusive"


def test_a_connection_that_the_server_ended_proves_nothing() -> None:
    assert _verdict([*_accepted(), _closed(by="server", phase="established")]) == "inconclusive"
    assert _verdict([*_accepted(), _closed(by="client", phase="established")]) == "aborted"


# The evidence: how far it went, and what was read.


@pytest.mark.parametrize(
    ("seen", "reached"),
    [
        ([], "nothing"),
        (_accepted(), "nothing"),
        ([_sent(sample=b"GET / HTTP/1.1")], "bytes"),
        ([_sent()], "preface"),
        ([_sent(), _request()], "headers"),
        ([_sent(), _request(), _message({}, direction="server")], "headers"),
        ([_sent(), _request(), _message({})], "messages"),
        ([_sent(), _request(), _message({}), _request(1, 3)], "messages"),
        ([_sent(1, sample=b"\0"), _sent(2)], "bytes"),
        ([_sent(1), _sent(2, sample=b"\0")], "bytes"),
    ],
)
def test_the_evidence_says_how_far_it_went(seen: list[Event], reached: str) -> None:
    assert _evidence(seen).reached == reached


def test_a_preface_that_came_in_pieces_is_one() -> None:
    settings = events.Frame(
        time=0.0, connection=1, direction="client", stream=0, type="SETTINGS", flags=(), length=0
    )
    assert _evidence([_sent(sample=b"PRI"), settings]).reached == "preface"


def test_a_call_is_read_with_its_metadata_messages_and_status() -> None:
    seen = [
        _sent(),
        _request(1, 1, ("authorization", _TOKEN), ("x-a", "1"), ("x-a", "2")),
        _message({"id": "1"}),
        _message({"name": "Nicolas"}, direction="server"),
        _message({"name": "Amina"}, direction="server"),
        _trailers("0"),
    ]
    (call,) = _evidence(seen).calls
    assert call.method == _GET_USER
    assert call.metadata["x-a"] == "1, 2"
    assert ":path" not in call.metadata
    assert call.requests == ({"id": "1"},)
    assert call.responses == ({"name": "Nicolas"}, {"name": "Amina"})
    assert call.status == "0"


def test_a_stolen_credential_is_named_and_not_repeated() -> None:
    evidence = _evidence([_sent(), _request(1, 1, ("authorization", _TOKEN))])
    assert evidence.credentials == ("authorization",)
    assert _TOKEN not in str(evidence)
    assert _evidence([_sent(), _request()]).credentials == ()


def test_a_message_that_was_not_decoded_is_evidence_as_well() -> None:
    (call,) = _evidence([_sent(), _request(), _message(None, raw=b"\x08\x01")]).calls
    assert call.requests == ("0801",)


def test_calls_of_several_streams_and_connections_are_kept_apart() -> None:
    seen = [
        _request(1, 1),
        _request(1, 3),
        _request(2, 1),
        _message({"id": "3"}, stream=3),
        _trailers("5", stream=1),
    ]
    calls = _evidence(seen).calls
    assert [(call.requests, call.status) for call in calls] == [
        ((), "5"),
        (({"id": "3"},), ""),
        ((), ""),
    ]


# Altered is what was believed.


def _rewritten(
    before: dict[str, object],
    after: dict[str, object],
    *,
    part: Literal["message", "metadata", "status"] = "message",
    sender: events.Direction = "server",
) -> list[Event]:
    """A call that was read, and changed on its way."""
    change = events.Rewritten(
        time=0.0,
        connection=1,
        direction=sender,
        stream=1,
        method=_GET_USER,
        part=part,
        type="users.v1.User" if part == "message" else "",
        before=before,
        after=after,
    )
    return [*_accepted(), _sent(), _request(), _message({"id": "1"}), change, _closed()]


_NICOLAS: dict[str, object] = {"id": "1", "name": "Nicolas"}
_MALLORY: dict[str, object] = {"id": "1", "name": "Mallory"}
_FOOLED = _client(0, {"user": {"id": 1, "name": "Mallory"}})


def test_a_client_that_reports_what_the_attacker_wrote_has_believed_it() -> None:
    result = _judged(_rewritten(_NICOLAS, _MALLORY), _FOOLED, [_relayed_call()])
    assert result.evidence is not None
    assert (result.verdict, result.evidence.reached) == ("compromised", "altered")
    assert "the client believed an altered answer" in result.reason
    (altered,) = result.evidence.altered
    assert (altered.sender, altered.before, altered.after) == ("server", _NICOLAS, _MALLORY)


@pytest.mark.parametrize(
    "client",
    [
        _ANSWERED,
        _FAILED,
        _HUNG,
        _client(0, {"user": {"names": ["Nicolas", "Mallory"]}}),
        _client(0, None, "printed no 'user' object"),
    ],
)
def test_one_that_does_not_report_it_has_been_read_and_no_more(client: ClientRun) -> None:
    result = _judged(_rewritten(_NICOLAS, _MALLORY), client, [_relayed_call()])
    assert result.evidence is not None
    assert (result.verdict, result.evidence.reached) == ("compromised", "messages")
    assert "the answer was altered, which the client does not repeat" in result.reason


def test_a_request_that_was_altered_is_not_the_clients_to_believe() -> None:
    seen = _rewritten(_NICOLAS, _MALLORY, sender="client")
    result = _judged(seen, _FOOLED, [_relayed_call()])
    assert result.evidence is not None
    assert result.evidence.reached == "messages"
    assert len(result.evidence.altered) == 1
    assert "altered" not in result.reason


def test_a_forged_status_is_believed_by_a_client_that_reports_it() -> None:
    after: dict[str, object] = {"grpc-status": "7", "grpc-message": "go away"}
    seen = _rewritten({"grpc-status": "0"}, after, part="status")
    told: dict[str, object] = {"error": {"code": "PERMISSION_DENIED", "message": "go away"}}
    for client, reached in (
        (_client(1, told), "altered"),
        (_FAILED, "messages"),
    ):
        result = _judged(seen, client, [_relayed_call()])
        assert result.evidence is not None
        assert result.evidence.reached == reached


def test_credentials_that_were_altered_stay_masked() -> None:
    before: dict[str, object] = {"authorization": _TOKEN, "x-role": "user"}
    after: dict[str, object] = {"authorization": _TOKEN[::-1], "x-role": "admin"}
    seen = _rewritten(before, after, part="metadata", sender="client")
    (altered,) = _evidence(seen).altered
    assert altered.after["x-role"] == "admin"
    for fields, secret in ((altered.before, _TOKEN), (altered.after, _TOKEN[::-1])):
        assert "masked" in str(fields["authorization"])
        assert secret not in str(fields)


# The genuine leg.


def test_a_leg_is_connected_when_client_and_server_say_so() -> None:
    assert judge_genuine(_ANSWERED, [_relayed_call()]).verdict == "connected"


@pytest.mark.parametrize(
    ("client", "calls", "why"),
    [
        (_FAILED, [], "UNAVAILABLE"),
        (_HUNG, [], "did not end within"),
        (_CRASHED, [], "ended by SIGSEGV"),
        (_ANSWERED, [], "no such call"),
        (_ANSWERED, [_relayed_call("CANCELLED")], "no such call"),
        (_FAILED, [_relayed_call()], "the server has answered"),
        (_client(0, None, "rubbish on stdout"), [_relayed_call()], "rubbish"),
    ],
)
def test_a_leg_is_failed_when_one_of_them_does_not(
    client: ClientRun, calls: list[ServerCall], why: str
) -> None:
    result = judge_genuine(client, calls)
    assert result.verdict == "failed"
    assert why in result.reason


def test_a_verdict_carries_what_it_rests_on() -> None:
    calls = [_relayed_call()]
    result = _judged([*_accepted(), _sent(), _request(), _closed()], _ANSWERED, calls)
    assert (result.client, result.server_calls) == (_ANSWERED, tuple(calls))
    assert result.evidence is not None
    assert len(result.evidence.connections) == 1


def test_the_page_has_the_same_table() -> None:
    """The rows of docs/verdicts.md, in the order in which acts are defined here."""
    page = (Path(__file__).parents[1] / "docs" / "verdicts.md").read_text()
    _, _, table = page.partition("| what the client did |")
    rows = [row.split("|") for row in table.partition("\n\n")[0].splitlines()[2:]]
    in_order: list[Act] = [
        *("sent", "exposed", "rejected", "declined", "untried", "unreached", "undecided")
    ]
    for act, (_, _, verdict, reject, accept, _) in zip(in_order, rows, strict=True):
        observation = Observation(act, "", Evidence("nothing"), called=True)
        cells = {"reject": reject, "accept": accept}
        if act == "untried":
            # Scenarios have no attacks in steps, and no attack is there to be accepted.
            assert not verdict.strip()
            assert not cells.pop("accept").strip()
        else:
            told = judge_intercepted(observation, _FAILED, ()).verdict
            assert verdict.strip() == f"`{told}`"
        for expect, cell in cells.items():
            case = structs.replace(finding("a", "pass").case, expect=expect)
            assert cell.strip().startswith(f"`{outcome_of(case, observation, _FAILED)[0]}`")
