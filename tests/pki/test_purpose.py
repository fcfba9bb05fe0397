"""Recipes forged for clients: what is left out is sound for one."""

from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mitm import content
from mitm.errors import UserError
from mitm.pki import Authorities, forge, load_recipe
from mitm.pki.authority import Purpose
from tests.pki.conftest import Forged
from tests.pki.test_recipe import LEAF
from tests.pki.verifiers import needs_openssl, openssl_verifies

RECIPES = {name: load_recipe(name) for name in content.markdown_files(content.CERTS)}
FOR_CLIENTS = [name for name, recipe in RECIPES.items() if recipe.client]

CLIENT = ("-x509_strict", "-purpose", "sslclient")


@needs_openssl
@pytest.mark.parametrize("name", FOR_CLIENTS)
def test_a_correct_server_does_what_the_recipe_says(
    name: str, authorities: Authorities, now: datetime
) -> None:
    chain = forge(RECIPES[name], "localhost", authorities, now, purpose="client")
    assert openssl_verifies(chain, *CLIENT) == (RECIPES[name].client == "accept")


@needs_openssl
def test_the_purpose_is_what_tells_client_and_server_apart(authorities: Authorities) -> None:
    # Whichever side shows it: what is said of the purpose counts, and what is left out is sound.
    for name, of_server, of_client in (
        ("genuine", True, False),
        ("eku-client-auth", False, True),
        ("critical-eku", True, False),
    ):
        chain = forge(load_recipe(name), "localhost", authorities)
        assert openssl_verifies(chain, "-purpose", "sslserver") == of_server
        assert openssl_verifies(chain, "-purpose", "sslclient") == of_client
    client = forge(load_recipe("genuine"), "localhost", authorities, purpose="client")
    assert openssl_verifies(client, *CLIENT)
    assert not openssl_verifies(client, "-purpose", "sslserver")


@pytest.mark.parametrize(
    ("identity", "kind"),
    [
        ("billing.lab.example", x509.DNSName),
        ("192.0.2.7", x509.IPAddress),
        ("spiffe://lab.example/billing", x509.UniformResourceIdentifier),
    ],
)
def test_a_client_has_its_identity_as_its_name(
    identity: str, kind: type[x509.GeneralName], authorities: Authorities
) -> None:
    chain = forge(load_recipe("genuine"), identity, authorities, purpose="client")
    leaf = x509.load_der_x509_certificate(chain.certificates[0])
    (name,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(name, kind)
    assert str(name.value) == identity


def test_a_copy_of_the_genuine_one_is_of_the_same_side(authorities: Authorities) -> None:
    recipe = load_recipe("replaced-key")
    sides: list[tuple[Purpose, x509.ObjectIdentifier]] = [
        ("server", ExtendedKeyUsageOID.SERVER_AUTH),
        ("client", ExtendedKeyUsageOID.CLIENT_AUTH),
    ]
    for purpose, expected in sides:
        chain = forge(recipe, "localhost", authorities, purpose=purpose)
        leaf = x509.load_der_x509_certificate(chain.certificates[0])
        (usage,) = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert usage == expected


def test_for_whom_a_recipe_is_can_be_mistyped(forged: Forged) -> None:
    assert forged(f"client: accept\n{LEAF}")
    with pytest.raises(UserError, match="client"):
        forged(f"client: perhaps\n{LEAF}")
