"""The verdict of a single connection: what is said, and what is never said, of whom."""

import pytest

from mitm import events
from mitm.events import Event
from mitm.evidence import SingleVerdict, SingleVerdicts

AT = 1_700_000_000.0

SHOWN = events.CertificatePresented(
    time=AT, connection=1, certificate="attacker-ca", subjects=("CN=a",), issuer="CN=b", sha256=""
)
HELLO = events.ClientHello(
    time=AT, connection=1, server_name="a", alpn=(), versions=(), cipher_suites=()
)
ACCEPTED = events.HandshakeCompleted(time=AT, connection=1, version="", cipher="", alpn="h2")


def data(sample: bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", *, encrypted: bool = True) -> Event:
    return events.ApplicationData(
        time=AT, connection=1, direction="client", encrypted=encrypted, sample=sample
    )


def request(path: str = "/a.B/C", *headers: tuple[str, str], connection: int = 1) -> Event:
    return events.Headers(
        time=AT, connection=connection, direction="client", stream=1, kind="request", method=path,
        headers=headers,
    )  # fmt: skip


def closed(by: events.Party = "client", connection: int = 1, **more: object) -> Event:
    fields = {"how": "eof", "phase": "established"} | more
    return events.Closed(time=AT + 1, connection=connection, by=by, **fields)  # type: ignore[arg-type]


def judge(*seen: Event, accepted: bool = False) -> tuple[str, str]:
    """The one verdict, at the end of the connection."""
    verdicts = SingleVerdicts(lambda certificate: accepted)
    *none, verdict = [verdicts(event) for event in seen]
    assert none == [None] * len(none)
    assert isinstance(verdict, SingleVerdict)
    assert list(verdicts.rest()) == []
    return verdict.verdict, verdict.reason


@pytest.mark.parametrize(
    ("seen", "verdict", "reason"),
    [
        ([SHOWN, ACCEPTED, data(), request(), closed()], "compromised", "read: /a.B/C"),
        (
            [
                events.ClientCertificateRefused(
                    time=AT, connection=1, address="", how="eof", presented=True
                ),
                *(SHOWN, ACCEPTED, data(), request(), closed()),
            ],
            "compromised",
            "read: /a.B/C; the server refused the attacker's client certificate: no alert",
        ),
        ([data(encrypted=False), request(), closed()], "exposed", "no TLS; read: /a.B/C"),
        ([SHOWN, ACCEPTED, closed()], "aborted", "left before a byte: closed without an alert"),
        ([HELLO, closed()], "inconclusive", "ended before the client was shown anything"),
        (
            [SHOWN, ACCEPTED, closed("server")],
            "inconclusive",
            "the client did not decide: the server ended the connection",
        ),
        (
            [SHOWN, ACCEPTED, closed("attacker", reason="the interceptor was stopped")],
            "inconclusive",
            "the client did not decide: the interceptor was stopped",
        ),
        (
            [HELLO, SHOWN, closed("attacker", reason="no shared cipher", phase="handshake")],
            "aborted",
            "left before a byte: the client offers nothing that this could be served with",
        ),
        (
            [HELLO, SHOWN, closed("attacker", reason="no suitable signature algorithm")],
            "inconclusive",
            "OpenSSL declines to present it",
        ),
        (
            [
                events.UpstreamFailed(time=AT, connection=1, address="a:1", reason="refused"),
                closed("attacker", phase="hello"),
            ],
            "inconclusive",
            "the server was not reached: refused",
        ),
        (
            [
                events.Tunnelled(time=AT, connection=1, address="a:1", name="a.test"),
                closed(phase="tunnelled", client_bytes=1000),
            ],
            "inconclusive",
            "passed on unread: a.test is not under test",
        ),
        (
            [
                *(SHOWN, ACCEPTED, data()),
                events.ParseFailed(time=AT, connection=1, direction="server", reason="no HTTP/2"),
                closed(client_bytes=24),
            ],
            "inconclusive",
            "what the server sent could not be read",
        ),
        (
            [
                *(SHOWN, ACCEPTED, data()),
                events.ParseFailed(time=AT, connection=1, direction="server", reason="no HTTP/2"),
                closed(client_bytes=100),
            ],
            "compromised",
            "read: a part of a request",
        ),
    ],
)
def test_what_is_said_of_a_connection(seen: list[Event], verdict: str, reason: str) -> None:
    said, why = judge(*seen)
    assert said == verdict
    assert why.startswith(reason)


def test_on_a_certificate_that_a_correct_client_accepts_nobody_is_judged_but_in_plaintext() -> None:
    assert judge(SHOWN, ACCEPTED, data(), request(), closed(), accepted=True)[0] == "connected"
    assert judge(SHOWN, ACCEPTED, closed(), accepted=True)[0] == "inconclusive"
    exposed = judge(SHOWN, data(encrypted=False), request(), closed(), accepted=True)
    assert exposed[0] == "exposed"


def test_credentials_are_named_and_never_shown() -> None:
    told = "a-secret-of-the-test-0123456789"
    headers = (("authorization", f"Bearer {told}"), ("x-note", f"Bearer {told}"), ("x-a", "b"))
    _, reason = judge(SHOWN, data(), request(f"/a?token={told}", *headers), closed())
    assert reason == "read: /a, authorization, x-note"


def test_what_it_keeps_of_a_connection_is_bounded() -> None:
    calls = [request(f"/{number}{'x' * 10_000}") for number in range(200)]
    _, reason = judge(SHOWN, data(), *calls, closed())
    assert reason.endswith("and 97 more, at least")
    assert len(reason) < 1000


def test_connections_are_told_apart_and_those_that_are_open_are_told_at_the_end() -> None:
    verdicts = SingleVerdicts()
    for event in (request(connection=1), request("/d.E/F", connection=2)):
        verdicts(event)
    first = verdicts(closed(connection=1))
    assert first is not None
    assert (first.connection, first.reason) == (1, "read: /a.B/C")
    (second,) = verdicts.rest()
    assert str(second) == "#2 COMPROMISED  read: /d.E/F"


def test_whoever_has_given_way_to_another_connection_of_its_own_has_not_rejected() -> None:
    """RFC 8305: of two addresses the faster one. The twin was alone."""

    def seen(number: int, client: str) -> list[Event]:
        return [
            events.Connected(time=AT, connection=number, client=client),
            events.CertificatePresented(
                time=AT, connection=number, certificate="c", subjects=("CN=a",), issuer="",
                sha256="",
            ),
            events.HandshakeCompleted(
                time=AT, connection=number, version="", cipher="", alpn="h2"
            ),
        ]  # fmt: skip

    for other, verdict in ("127.0.0.1:2", "inconclusive"), ("[::1]:2", "aborted"):
        verdicts = SingleVerdicts()
        for event in (*seen(1, "[::1]:1"), *seen(2, other)):
            verdicts(event)
        said = verdicts(closed(connection=1))
        assert said is not None
        assert said.verdict == verdict


def test_what_was_missed_makes_nobody_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it take back what was read."""
    seen: list[Event]
    for seen, verdict in ([], "inconclusive"), ([request()], "compromised"):
        verdicts = SingleVerdicts()
        for event in (SHOWN, ACCEPTED, *seen):
            verdicts(event)
        with monkeypatch.context() as patch:
            patch.setattr("mitm.evidence.connection.SeenConnection.see", lambda self, event: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                verdicts(data())
        said = verdicts(closed())
        assert said is not None
        assert said.verdict == verdict
