"""The Certificate message of a client, in the forms of TLS 1.2 and 1.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.tls import MalformedError
from mitm.tls.client_certificate import read_certificate


def sized(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def message(chain: list[bytes], *, tls_1_3: bool, extensions: bytes = b"") -> bytes:
    behind = sized(2, extensions) if tls_1_3 else b""
    listed = sized(3, b"".join(sized(3, each) + behind for each in chain))
    return b"\x0b" + sized(3, (sized(1, b"context") if tls_1_3 else b"") + listed)


CHAINS = st.lists(st.binary(min_size=1, max_size=300), max_size=4)


@given(CHAINS, st.booleans(), st.binary(max_size=20))
def test_what_was_written_is_read(chain: list[bytes], tls_1_3: bool, extensions: bytes) -> None:
    written = message(chain, tls_1_3=tls_1_3, extensions=extensions)
    assert read_certificate(written, tls_1_3=tls_1_3) == tuple(chain)


@given(CHAINS, st.booleans(), st.data())
def test_what_is_cut_or_has_more_behind_it_is_none(
    chain: list[bytes], tls_1_3: bool, data: st.DataObject
) -> None:
    written = message(chain, tls_1_3=tls_1_3)
    cut = data.draw(st.integers(0, len(written) - 1))
    for wrong in (written[:cut], written + b"\0"):
        with pytest.raises(MalformedError):
            read_certificate(wrong, tls_1_3=tls_1_3)


def test_a_certificate_of_no_bytes_is_none() -> None:
    with pytest.raises(MalformedError):
        read_certificate(message([b""], tls_1_3=False), tls_1_3=False)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, tls_1_3: bool) -> None:
    try:
        found = read_certificate(b"\x0b" + sized(3, data), tls_1_3=tls_1_3)
    except MalformedError:
        return
    assert all(found)
