"""A chain is rehearsed before it is presented: what OpenSSL cannot serve shows only then."""

import contextlib
import ssl
from datetime import UTC, datetime

import pytest

from mitm import pki
from mitm.audit import catalogue, forge_suite, with_twins
from mitm.pki import Chain, Presentation
from mitm.pki.presentation import is_whole_answer

AUTHORITIES = pki.Authorities(["localhost"])


def chain(name: str) -> Chain:
    return pki.forge(pki.load_recipe(name), "localhost", AUTHORITIES, datetime.now(UTC))


def over_tls_1_2(name: str) -> Chain:
    known = {entry.name: entry for entry in with_twins(catalogue())}
    (case,) = forge_suite([known[f"{name}:tls-1.2"]]).cases
    assert case.chain
    return case.chain


def test_what_openssl_serves_in_one_version_alone_is_refused_in_the_other() -> None:
    """A key that may not sign has no suite in TLS 1.2; TLS 1.3 chooses suites without it."""
    with pytest.raises(pki.Unsupported, match="cannot serve it: no shared cipher"):
        Presentation(over_tls_1_2("no-digital-signature"))
    Presentation(chain("no-digital-signature"))
    Presentation(over_tls_1_2("expired"))


def answer(version: ssl.TLSVersion, group: str) -> bytes:
    """What a server that takes nothing but a group says first; "" for what the client has begun."""
    server = Presentation(chain("genuine")).context()
    server.maximum_version = version
    if group:
        server.set_ecdh_curve(group)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), to_server).do_handshake()
    with contextlib.suppress(ssl.SSLWantReadError):
        server.wrap_bio(to_server, to_client, server_side=True).do_handshake()
    return to_client.read()


@pytest.mark.parametrize(
    ("version", "group", "whole"),
    [
        (ssl.TLSVersion.TLSv1_3, "", True),
        # A HelloRetryRequest (RFC 8446 section 4.1.4), before anything is signed.
        (ssl.TLSVersion.TLSv1_3, "secp521r1", False),
        # Its Finished is still to come.
        (ssl.TLSVersion.TLSv1_2, "", False),
    ],
)
def test_a_server_has_done_its_part_with_its_finished(
    version: ssl.TLSVersion, group: str, whole: bool
) -> None:
    assert is_whole_answer(answer(version, group)) == whole


def test_the_context_of_the_rehearsal_serves_afterwards() -> None:
    presented = Presentation(chain("genuine"))
    for _ in range(2):
        server, client = presented.context("h2"), ssl.create_default_context()
        client.load_verify_locations(cadata=presented.chain.anchor_pem.decode())
        client.set_alpn_protocols(["h2"])
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        there = client.wrap_bio(to_client, to_server, server_hostname="localhost")
        here = server.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(3):
            for side in (there, here):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        assert there.selected_alpn_protocol() == "h2"
        assert there.getpeercert(binary_form=True) == presented.chain.certificates[0]
