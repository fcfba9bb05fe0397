"""Alerts that are not encrypted: what a peer says that will not speak TLS with us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.tls import plaintext_alert, tls_record

_HANDSHAKE_FAILURE = bytes.fromhex("15030100020228")


@pytest.mark.parametrize(
    ("records", "alert"),
    [
        (_HANDSHAKE_FAILURE, ("handshake_failure", 40)),
        (bytes.fromhex("1503010002012a"), ("bad_certificate", 42)),
        (bytes.fromhex("150301000202c8"), ("200", 200)),
        (bytes.fromhex("160301000401000000") + _HANDSHAKE_FAILURE, ("handshake_failure", 40)),
        (_HANDSHAKE_FAILURE[:-1], None),
        (bytes.fromhex("160301000401000000"), None),
        (b"", None),
        (b"GET / HTTP/1.1\r\n", None),
    ],
)
def test_the_first_alert_among_records_is_found(
    records: bytes, alert: tuple[str, int] | None
) -> None:
    assert plaintext_alert(records) == alert


@given(st.binary(max_size=100))
def test_no_bytes_make_the_search_raise(records: bytes) -> None:
    plaintext_alert(records)


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
