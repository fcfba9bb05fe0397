"""Chains as they are presented: each protocol variant in a real handshake."""

import ssl
from datetime import datetime
from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.pki import (
    Authorities,
    Presentation,
    Unsupported,
    chain_from_files,
    forge,
    load_recipe,
    write_lab,
)
from tests.pki.conftest import Forged
from tests.pki.verifiers import handshake, lax_client, verifying_client

GENUINE = "chain: [{}, {authority: lab}]\n"


def test_the_genuine_chain_is_accepted_by_a_client_that_verifies(forged: Forged) -> None:
    chain = forged(GENUINE)
    done = handshake(Presentation(chain).context("h2"), verifying_client(chain), "localhost")
    assert (done.refusal, done.version, done.alpn) == (None, "TLSv1.3", "h2")


@pytest.mark.parametrize("recipe", ["attacker-ca", "self-signed"])
def test_a_forged_chain_is_refused_by_it_and_not_by_one_that_does_not_verify(
    authorities: Authorities, now: datetime, recipe: str
) -> None:
    chain = forge(load_recipe(recipe), "localhost", authorities, now)
    context = Presentation(chain).context("h2")
    refused = handshake(context, verifying_client(chain), "localhost")
    assert refused.refusal is not None
    assert "CERTIFICATE_VERIFY_FAILED" in refused.refusal
    assert handshake(context, lax_client(), "localhost").refusal is None


def test_no_session_is_resumed(forged: Forged) -> None:
    # A resumed session would show no certificate.
    context = Presentation(forged(GENUINE)).context()
    assert context.num_tickets == 0
    assert context.options & ssl.OP_NO_TICKET


@pytest.mark.parametrize(
    ("tls", "alpn", "chosen"),
    [
        ("{}", "h2", "h2"),
        ("{}", None, None),
        ("{alpn: none}", "h2", None),
        ("{alpn: http/1.1}", "h2", "http/1.1"),
    ],
)
def test_alpn_is_the_servers_unless_the_recipe_says_otherwise(
    forged: Forged,
    tls: str,
    alpn: str | None,
    chosen: str | None,
) -> None:
    chain = forged(f"{GENUINE}tls: {tls}\n")
    done = handshake(Presentation(chain).context(alpn), verifying_client(chain), "localhost")
    assert (done.refusal, done.alpn) == (None, chosen)


@pytest.mark.parametrize(
    ("tls", "version"),
    [
        ("{minimum: TLSv1, maximum: TLSv1}", "TLSv1"),
        ("{minimum: TLSv1.1, maximum: TLSv1.1}", "TLSv1.1"),
        ("{maximum: TLSv1.2}", "TLSv1.2"),
        ("{minimum: TLSv1.3}", "TLSv1.3"),
    ],
)
def test_versions_are_the_recipes(
    forged: Forged,
    tls: str,
    version: str,
) -> None:
    chain = forged(f"{GENUINE}tls: {tls}\n")
    assert handshake(Presentation(chain).context(), lax_client()).version == version


@pytest.mark.parametrize(("ciphers", "part"), [("aNULL:!eNULL", "AECDH"), ("eNULL:!aNULL", "NULL")])
def test_ciphers_that_nobody_should_take_are_served_to_who_takes_them(
    forged: Forged,
    ciphers: str,
    part: str,
) -> None:
    chain = forged(f"{GENUINE}tls: {{maximum: TLSv1.2, ciphers: '{ciphers}'}}\n")
    context = Presentation(chain).context()
    assert any(part in cipher["name"] for cipher in context.get_ciphers())
    assert handshake(context, lax_client()).refusal is None
    refused = handshake_or_refusal(context, verifying_client(chain))
    assert refused is not None


def handshake_or_refusal(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Why there is no handshake; with no cipher in common it is the server that gives up."""
    try:
        return handshake(server, client, "localhost").refusal
    except ssl.SSLError as error:
        return str(error)


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("tls: {ciphers: NONSENSE}\n", "cipher"),
        # Nothing is in common: TLS 1.3 has cipher suites of its own, of which none is anonymous.
        ("tls: {minimum: TLSv1, maximum: TLSv1, ciphers: AESGCM}\n", "cipher"),
    ],
)
def test_what_openssl_cannot_serve_is_unsupported_with_its_reason(
    forged: Forged,
    front: str,
    reason: str,
) -> None:
    chain = forged(GENUINE + front)
    with pytest.raises(Unsupported, match=reason):
        Presentation(chain).context()


@pytest.mark.parametrize("key", ["ec-p256", "ec-p384"])
def test_who_does_not_hold_the_key_gets_as_far_as_the_certificate(
    forged: Forged,
    key: str,
) -> None:
    chain = forged(f"chain: [{{key: {key}, breakages: [other-key]}}, {{authority: lab}}]\n")
    # Not even a client that verifies no certificate goes on: there is no handshake without the key.
    for client in (verifying_client(chain), lax_client()):
        refused = handshake(Presentation(chain).context(), client, "localhost").refusal
        assert refused is not None
        assert "BAD_SIGNATURE" in refused
    held = forged(f"chain: [{{key: {key}}}, {{authority: lab}}]\n")
    assert (
        handshake(Presentation(held).context(), verifying_client(held), "localhost").refusal is None
    )


def test_a_chain_of_ones_own_is_read_from_files(tmp_path: Path, authorities: Authorities) -> None:
    write_lab(tmp_path, authorities, overwrite=False)
    chain = chain_from_files(tmp_path / "server.pem", tmp_path / "server.key")
    assert chain.pem == (tmp_path / "server.pem").read_bytes()
    assert handshake(Presentation(chain).context(), lax_client()).refusal is None


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        ("server.pem", "attacker.key", "does not fit"),
        ("nowhere.pem", "server.key", "cannot read"),
        ("server.pem", "nowhere.key", "cannot read"),
        ("server.key", "server.key", "no PEM certificate"),
        ("server.pem", "server.pem", "no PEM private key"),
    ],
)
def test_files_that_are_no_chain_are_refused_by_name(
    tmp_path: Path, authorities: Authorities, cert: str, key: str, reason: str
) -> None:
    write_lab(tmp_path, authorities, overwrite=False)
    with pytest.raises(UserError, match=reason) as caught:
        chain_from_files(tmp_path / cert, tmp_path / key)
    assert str(tmp_path) in str(caught.value)
