"""Alerts that are not encrypted: what a peer says that will not speak TLS with us."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.tls import AlertReader, tls_record
from mitm.tls.alerts import received

_HANDSHAKE_FAILURE = bytes.fromhex("15030100020228")


@pytest.mark.parametrize(
    ("records", "alerts"),
    [
        (_HANDSHAKE_FAILURE, [("handshake_failure", 40, True)]),
        (bytes.fromhex("1503010002012a"), [("bad_certificate", 42, False)]),
        (bytes.fromhex("15030300020100"), [("close_notify", 0, True)]),
        (bytes.fromhex("150301000202c8"), [("200", 200, True)]),
        (
            bytes.fromhex("160301000401000000") + _HANDSHAKE_FAILURE,
            [("handshake_failure", 40, True)],
        ),
        (2 * _HANDSHAKE_FAILURE, 2 * [("handshake_failure", 40, True)]),
        (_HANDSHAKE_FAILURE[:-1], []),
        (bytes.fromhex("160301000401000000"), []),
        # An alert of TLS 1.2 that is encrypted: a nonce, the alert, a tag.
        (b"\x15\x03\x03\x00\x1a" + bytes(26), []),
        (b"", []),
        (b"GET / HTTP/1.1\r\n", []),
    ],
)
def test_the_alerts_among_records_are_found(
    records: bytes, alerts: list[tuple[str, int, bool]]
) -> None:
    assert AlertReader().feed(records) == alerts


@given(st.binary(max_size=100))
def test_no_bytes_make_the_search_raise(records: bytes) -> None:
    AlertReader().feed(records)


def error(reason: str) -> ssl.SSLError:
    """As Python has it of OpenSSL: its reason, where there is a symbol for it."""
    made = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower().replace('_', ' ')} (_ssl.c:1006)")
    made.reason = reason
    return made


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown_ca"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "bad_certificate"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate_required"),
        ("TLSV1_UNRECOGNIZED_NAME", "unrecognized_name"),
        ("TLS_ALERT_BAD_CERTIFICATE", "bad_certificate"),  # OpenSSL 4.0
        ("TLS_ALERT_UNHEARD_OF", None),
        ("TLSV1_ALERT_USER_CANCELLED", "user_canceled"),
        # Alike, but no alert: what a version of OpenSSL may say, of itself or of an alert to come.
        ("SSLV3_ROLLBACK_ATTACK", None),
        ("TLSV1_ALERT_UNHEARD_OF", None),
        ("WRONG_VERSION_NUMBER", None),
    ],
)
def test_openssl_tells_of_an_alert_by_its_name_and_of_nothing_else(
    reason: str, name: str | None
) -> None:
    assert received(error(reason)) == name


@pytest.mark.parametrize(
    ("data", "begins"),
    [
        (b"\x16", True),
        (b"\x16\x03\x01", True),
        (b"\x14\x03\x03", True),
        (b"\x15\x03\x03", True),
        (b"\x17\x03\x03", True),
        (b"\x18\x03\x03", False),
        (b"\x13", False),
        (b"\x16\x02", False),
        (b"PRI * HTTP/2.0", False),
    ],
)
def test_a_record_is_known_by_its_first_bytes(data: bytes, begins: bool) -> None:
    assert tls_record(data) == begins
