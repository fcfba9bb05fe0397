"""What is different each time is left out of what a client says, and nothing else."""

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.audit.steady import VARIES, steady, steady_metadata, steady_reason
from mitm.evidence import Call


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit code 1: 2026-11-26T17:27:40.321426Z no", "exit code 1: … no"),
        ("exit code 1: 2026/11/26 17:27:40 rpc error: x", "exit code 1: … rpc error: x"),
        ("I1126 17:27:40.321426   22026 ssl.cc:2563] no", "… ssl.cc:2563] no"),
        ("17:27:40,321 ERROR x", "… ERROR x"),
        ("at 1764178060.5 or 1764178060123", "at … or …"),
        ("gave up after 1.52s", "gave up after …"),
        ("took 300 ms, 2 seconds, 1h2m3.5s", "took …, …, …"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id …"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace …"),
        ("<object at 0x7f2f3e8707c0>", "<object at …>"),
        ("[8721] client[37]: goroutine 12, pid=9", "[…] client[…]: …, …"),
        ("ipv4:127.0.0.1:41347: no", "…: no"),
        ("ipv6:%5B::1%5D:41347: no", "…: no"),
        ("read tcp 127.0.0.1:5551->127.0.0.1:41347: EOF", "read tcp …->…: EOF"),
        ("dial [::1]:41347", "dial …"),
        ("Failed to connect to localhost port 41347", "Failed to connect to localhost …"),
        (f"cannot read {tempfile.gettempdir()}/x1/ca.pem", "cannot read …"),
        ("exit code 0: 8721 done", "exit code 0: … done"),
        # What stays: it says why.
        ("exit code 60: curl: (60) SSL certificate problem", None),
        ("UNAVAILABLE: x509: certificate signed by unknown authority", None),
        ("error:1000007d:SSL routines: CERTIFICATE_VERIFY_FAILED", None),
        ("error:10000410:SSL routines: no, ssl3_record.c:1350:", None),
        ("00E0A1B2C37F0000:error:0A00007B:SSL routines", "…:error:0A00007B:SSL routines"),
        ("HTTP 404 from server 1.85.3, TLSv1.3", None),
    ],
)
def test_what_a_client_says_without_its_times(text: str, told: str | None) -> None:
    assert steady(text) == (text if told is None else told)


@given(st.text())
def test_whatever_a_client_says_is_no_trouble(text: str) -> None:
    assert steady(text) == text or VARIES in steady(text)


def test_a_reason_does_not_count_what_the_clock_decides() -> None:
    said = "exit code 1: 17:27:40 gone"
    reason = f"the client never connected ({said})"
    assert steady_reason(reason, said) == "the client never connected (exit code 1: … gone)"
    assert steady_reason("rejected: x; 5 times; it was still trying", "") == "rejected: x"
    reason = "accepted; read: /a.B/C; 1 message"
    assert steady_reason(reason, "") == reason
    # Our own words are left alone.
    reason = "the client did not end within 10 s"
    assert steady_reason(reason, "still running") == reason


def test_metadata_of_one_call_is_named_without_its_value() -> None:
    call = Call("/a.B/C", {"grpc-timeout": "4998m", "x-nonce": "abc", "x-same": "abc"})
    told = {"grpc-timeout": VARIES, "x-nonce": VARIES, "x-same": "abc"}
    assert steady_metadata(call, frozenset({"x-nonce"})) == told
