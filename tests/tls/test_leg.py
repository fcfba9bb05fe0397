"""Two legs that talk over memory, and what each learns of the other's end."""

import ssl
from collections.abc import Callable
from ssl import TLSVersion

import pytest

from mitm.tls import ALERTS, ReceivedAlert, TlsError, TlsLeg
from tests.tls.certificates import client_context, self_signed, server_context


def _pair(
    client: ssl.SSLContext | None = None,
    server: ssl.SSLContext | None = None,
    name: str = "localhost",
) -> tuple[TlsLeg, TlsLeg]:
    """A client and a server; without contexts of one's own they trust each other."""
    certificate, key = self_signed()
    return (
        TlsLeg(client or client_context(certificate), server_side=False, server_name=name),
        TlsLeg(server or server_context(certificate, key), server_side=True),
    )


def _carry(source: TlsLeg, sink: TlsLeg, step: int = 100_000) -> None:
    data = source.to_send()
    for at in range(0, len(data), step):
        sink.receive(data[at : at + step])


def _shake_hands(client: TlsLeg, server: TlsLeg) -> None:
    """Bring the handshake to its end, or to the client's failure, which the server then meets."""
    try:
        while not client.handshake():
            _carry(client, server)
            server.handshake()
            _carry(server, client)
    finally:
        _carry(client, server)
    assert server.handshake()
    _carry(server, client)


def _refusal(client: TlsLeg, server: TlsLeg) -> ReceivedAlert | None:
    """The alert with which a client refuses, as the server receives it."""
    with pytest.raises(TlsError) as own:
        _shake_hands(client, server)
    assert own.value.alert is None
    with pytest.raises(TlsError) as received:
        server.handshake()
    return received.value.alert


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
def test_a_handshake_completes_and_says_what_was_agreed_on(version: TLSVersion) -> None:
    certificate, key = self_signed()
    context = client_context(certificate)
    context.maximum_version = version
    context.set_alpn_protocols(["http/1.1", "h2"])
    offered = server_context(certificate, key)
    offered.set_alpn_protocols(["h2"])
    client, server = _pair(context, offered)
    assert (server.version, server.cipher, server.alpn) == ("", "", None)
    _shake_hands(client, server)
    expected = {TLSVersion.TLSv1_2: "TLSv1.2", TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    assert (server.version, server.alpn) == (client.version, client.alpn) == (expected, "h2")
    assert server.cipher == client.cipher != ""


def test_without_a_common_protocol_there_is_none() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    assert (client.alpn, server.alpn) == (None, None)


def test_a_handshake_completes_byte_by_byte() -> None:
    client, server = _pair()
    done = {client: False, server: False}
    for _ in range(4):
        for source, sink in ((client, server), (server, client)):
            done[source] = source.handshake()
            for byte in source.to_send():
                sink.receive(bytes([byte]))
                done[sink] = sink.handshake()
    assert all(done.values())


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 300_000])
def test_data_arrives_whole_in_both_directions(size: int) -> None:
    client, server = _pair()
    _shake_hands(client, server)
    for source, sink in ((client, server), (server, client)):
        sent = (size * b"0123456789")[:size]
        source.write(sent)
        _carry(source, sink)
        assert sink.read() == sent
        assert sink.read() == b""
        assert not sink.closed


def test_data_arrives_however_its_records_are_cut() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    client.write(b"first")
    client.write(b"second")
    received = b""
    for byte in client.to_send():
        server.receive(bytes([byte]))
        received += server.read()
    assert received == b"firstsecond"


def test_data_that_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    client, server = _pair()
    client.handshake()
    _carry(client, server)
    server.handshake()
    _carry(server, client)
    assert client.handshake()
    client.write(b"early")
    _carry(client, server)
    assert server.handshake()
    assert server.read() == b"early"


# How a leg ends.


def test_close_notify_ends_one_direction_and_leaves_the_other() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    client.write(b"last words")
    client.close()
    _carry(client, server)
    assert server.read() == b"last words"
    assert server.closed
    assert server.read() == b""
    server.write(b"an answer all the same")
    server.close()
    _carry(server, client)
    assert client.read() == b"an answer all the same"
    assert client.closed


def test_silence_is_not_a_close() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    assert server.read() == b""
    assert not server.closed


def test_half_a_record_is_no_data_and_no_close() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    client.write(b"cut off")
    server.receive(client.to_send()[:-1])
    assert server.read() == b""
    assert not server.closed


def test_nothing_is_written_after_close() -> None:
    client, server = _pair()
    _shake_hands(client, server)
    client.close()
    with pytest.raises(TlsError):
        client.write(b"too late")


def test_a_close_before_the_handshake_is_harmless() -> None:
    client, server = _pair()
    client.close()
    server.close()


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "trusted", "name", "alert"),
    [
        (self_signed(), None, "localhost", ReceivedAlert("unknown_ca", 48)),
        (self_signed(), self_signed(), "other.example", ReceivedAlert("bad_certificate", 42)),
        (
            self_signed(expired=True),
            self_signed(expired=True),
            "localhost",
            ReceivedAlert("certificate_expired", 45),
        ),
        (self_signed(), self_signed(), "localhost", None),
    ],
    ids=["unknown CA", "wrong name", "expired", "twin: all is well"],
)
def test_a_client_that_verifies_refuses_by_alert_just_what_is_wrong(
    certificate: tuple[bytes, bytes],
    trusted: tuple[bytes, bytes] | None,
    name: str,
    alert: ReceivedAlert | None,
    version: TLSVersion,
) -> None:
    context = client_context(trusted[0] if trusted else None)
    context.maximum_version = version
    client, server = _pair(context, server_context(*certificate), name)
    if alert:
        assert _refusal(client, server) == alert
    else:
        _shake_hands(client, server)
        client.write(b"here is my token")
        _carry(client, server)
        assert server.read() == b"here is my token"


def test_a_client_that_does_not_verify_gets_through() -> None:
    context = client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client, server = _pair(context, name="other.example")
    _shake_hands(client, server)


@pytest.mark.parametrize("name", [name for name in ALERTS if name != "user_canceled"])
def test_every_alert_goes_by_its_name_and_number(name: str) -> None:
    client, server = _pair()
    client.handshake()
    _carry(client, server)
    server.handshake()
    server.receive(b"\x15\x03\x03\x00\x02\x02" + bytes([ALERTS[name]]))
    with pytest.raises(TlsError) as failure:
        server.handshake()
    assert failure.value.alert == (name, ALERTS[name])


@pytest.mark.parametrize("wording", ["unheard of", "want read"])
@pytest.mark.parametrize(("level", "number"), [(1, 0), (2, 0), (2, 48), (2, 200)])
def test_an_alert_in_the_clear_is_known_whatever_openssl_calls_it(
    level: int, number: int, wording: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL 3.6 tells of a close_notify within the handshake otherwise than those before it."""
    client, server = _pair()
    client.handshake()
    _carry(client, server)
    server.handshake()

    class Otherwise:
        def do_handshake(self) -> None:
            kind = ssl.SSLWantReadError if wording == "want read" else ssl.SSLError
            error = kind(1, f"[SSL] {wording} (_ssl.c:1)")
            error.reason = None  # type: ignore[assignment]  # which Python leaves out of its stubs
            raise error

    server.receive(b"\x15\x03\x03\x00\x02" + bytes([level, number]))
    server._incoming.read()
    monkeypatch.setattr(server, "_tls", Otherwise())
    with pytest.raises(TlsError) as failure:
        server.handshake()
    assert failure.value.alert
    assert failure.value.alert.number == number


def test_a_warning_in_the_clear_is_no_end() -> None:
    """The twin: RFC 8446 section 6 has two alerts that end nothing by themselves."""
    client, server = _pair()
    client.handshake()
    _carry(client, server)
    server.handshake()
    server.receive(b"\x15\x03\x03\x00\x02\x01\x5a")
    assert not server.handshake()


def test_a_failure_of_this_side_is_no_alert_that_came_after_it() -> None:
    _, server = _pair()
    server.receive(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    server.receive(b"\x15\x03\x03\x00\x02\x02\x28")
    with pytest.raises(TlsError) as failure:
        server.handshake()
    assert failure.value.alert is None


def test_a_cancelled_handshake_ends_with_the_close_that_follows() -> None:
    """RFC 8446 section 6.1: user_canceled is a warning, and close_notify comes after it."""
    client, server = _pair()
    client.handshake()
    _carry(client, server)
    server.handshake()
    server.receive(b"\x15\x03\x03\x00\x02\x01\x5a")
    assert not server.handshake()
    server.receive(b"\x15\x03\x03\x00\x02\x01\x00")
    with pytest.raises(TlsError) as failure:
        server.handshake()
    assert failure.value.alert == ("close_notify", 0)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 100 * b"\xff"],
)
def test_garbage_is_this_sides_failure_and_no_alert_of_the_peer(garbage: bytes) -> None:
    _, server = _pair()
    server.receive(garbage)
    with pytest.raises(TlsError) as failure:
        server.handshake()
    assert failure.value.alert is None
    assert str(failure.value)


def test_without_a_common_version_this_side_fails_and_tells_the_peer_by_alert() -> None:
    certificate, key = self_signed()
    old, new = client_context(certificate), server_context(certificate, key)
    old.maximum_version = TLSVersion.TLSv1_2
    new.minimum_version = TLSVersion.TLSv1_3
    client, server = _pair(old, new)
    client.handshake()
    _carry(client, server)
    with pytest.raises(TlsError) as own:
        server.handshake()
    assert own.value.alert is None
    _carry(server, client)
    with pytest.raises(TlsError) as received:
        client.handshake()
    assert received.value.alert == ("protocol_version", 70)


def _bad_record(client: TlsLeg) -> bytes:
    return b"\x17\x03\x03\x00\x20" + 32 * b"x"


def _alert_of_a_client(client: TlsLeg) -> bytes:
    """The alert that a client sends when it receives a bad record."""
    client.receive(b"\x17\x03\x03\x00\x20" + 32 * b"x")
    assert client.read() == b""
    assert client.failure
    return client.to_send()


@pytest.mark.parametrize(
    ("end", "alert"),
    [(_bad_record, None), (_alert_of_a_client, ReceivedAlert("bad_record_mac", 20))],
)
def test_data_before_a_failure_is_given_first(
    end: Callable[[TlsLeg], bytes], alert: ReceivedAlert | None
) -> None:
    client, server = _pair()
    _shake_hands(client, server)
    client.write(b"before")
    server.receive(client.to_send() + end(client))
    assert server.read() == b"before"
    for _ in range(2):
        assert server.failure
        assert server.failure.alert == alert
        assert server.read() == b""


def test_the_two_legs_of_a_connection_are_apart() -> None:
    """The bytes of one handshake are of no use in another."""
    client, server = _pair()
    _shake_hands(client, server)
    client.write(b"for one server alone")
    record = client.to_send()
    _, other = _pair()
    other.receive(record)
    with pytest.raises(TlsError):
        other.handshake()
    server.receive(record)
    assert server.read() == b"for one server alone"
