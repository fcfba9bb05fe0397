"""Alerts of a client that has no keys yet."""

from hypothesis import given
from hypothesis import strategies as st

from mitm.tls import ALERTS, AlertReader, tls_record
from tests.cutting import cuts, pieces

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@given(
    st.sampled_from(sorted(ALERTS.items())),
    st.lists(st.binary(max_size=300), max_size=3),
    cuts,
)
def test_an_alert_is_found_behind_other_records_however_they_are_cut(
    alert: tuple[str, int], others: list[bytes], where: list[int]
) -> None:
    name, number = alert
    before = b"".join(b"\x16\x03\x01" + len(o).to_bytes(2, "big") + o for o in others)
    record = b"\x15\x03\x03\x00\x02\x02" + bytes([number])
    assert AlertReader().feed(before + record) == [(name, number, True)]
    for end in range(len(before), len(before + record)):
        assert AlertReader().feed((before + record)[:end]) == []
    reader = AlertReader()
    found = [each for piece in pieces(before + record, where) for each in reader.feed(piece)]
    assert found == [(name, number, True)]


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_at_without_an_error(data: bytes) -> None:
    AlertReader().feed(data)
    if data:
        tls_record(data)


def test_what_http_clients_send_is_no_tls_record() -> None:
    assert not tls_record(PREFACE)
    assert not tls_record(b"GET / HTTP/1.1\r\n")
    assert tls_record(b"\x15\x03\x01\x00\x02\x02\x46")
    assert tls_record(b"\x16")
    assert not tls_record(b"\x16\x02")
