"""Chains made from recipes, judged by implementations that are not ours."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from mitm.errors import UserError
from mitm.pki import Authorities, Chain, Unsupported, forge, load_recipe
from mitm.pki.authority import constrained_to
from tests.pki.conftest import Forged
from tests.pki.verifiers import cryptography_verifies, needs_openssl, openssl_verifies

STRICT = ("-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost")


def certificates(chain: Chain) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(c) for c in chain.certificates]


@needs_openssl
def test_openssl_accepts_the_genuine_chain_and_not_the_forged_ones(
    authorities: Authorities, now: datetime
) -> None:
    genuine, attacker, own = (
        forge(load_recipe(name), "localhost", authorities, now)
        for name in ("genuine", "attacker-ca", "self-signed")
    )
    assert openssl_verifies(genuine, *STRICT)
    assert not openssl_verifies(attacker, *STRICT)
    assert not openssl_verifies(own, *STRICT)
    # Nothing else is wrong with them: whoever trusts the issuer accepts them.
    assert openssl_verifies(attacker, *STRICT, anchor=authorities.attacker.pem)
    assert openssl_verifies(own, *STRICT[1:], "-partial_chain", anchor=own.leaf_pem)


def test_cryptography_accepts_the_genuine_chain_and_not_the_forged_ones(
    authorities: Authorities, now: datetime
) -> None:
    for name, accepted in (("genuine", True), ("attacker-ca", False), ("self-signed", False)):
        chain = forge(load_recipe(name), "localhost", authorities, now)
        assert cryptography_verifies(chain, "localhost", now) is accepted


@needs_openssl
def test_the_genuine_chain_is_for_the_name_under_test(
    authorities: Authorities, now: datetime
) -> None:
    recipe = load_recipe("genuine")
    named = forge(recipe, "server.mitm-demo.test", authorities, now)
    assert openssl_verifies(named, "-verify_hostname", "server.mitm-demo.test")
    assert not openssl_verifies(named, "-verify_hostname", "localhost")
    addressed = forge(recipe, "127.0.0.1", authorities, now)
    assert openssl_verifies(addressed, "-verify_ip", "127.0.0.1")
    assert not openssl_verifies(addressed, "-verify_ip", "127.0.0.2")


@needs_openssl
def test_a_wrong_name_is_the_only_flaw_of_a_certificate_for_a_wrong_name(forged: Forged) -> None:
    chain = forged("chain: [{san: ['DNS:wrong.example']}, {}, {authority: lab}]\n")
    assert not openssl_verifies(chain, *STRICT)
    assert openssl_verifies(chain, *STRICT[:3])


@pytest.mark.parametrize("who", ["authority: attacker", "signed_by: self"])
def test_a_ca_nobody_trusts_is_constrained_to_the_names_under_test(
    forged: Forged, authorities: Authorities, who: str
) -> None:
    chain = forged(f"chain: [{{}}, {{}}, {{{who}, send: true}}]\n")
    for ca in certificates(chain)[1:]:
        constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.value == constrained_to(authorities.names)


def test_whatever_stands_above_a_leaf_warns_and_lives_for_a_day(
    forged: Forged, now: datetime
) -> None:
    chain = forged(
        "chain: [{}, {not_after: +90d}, {not_after: +90d, basic_constraints: {ca: false}},"
        " {not_after: +90d, subject: CN=Real CA, send: true}]\n"
    )
    for certificate in certificates(chain)[1:]:
        assert "DO NOT TRUST" in certificate.subject.rfc4514_string()
        assert certificate.not_valid_after_utc <= now + timedelta(days=1)


def test_a_leaf_that_is_a_ca_is_bound_by_the_same_rails(forged: Forged, now: datetime) -> None:
    chain = forged("chain: [{signed_by: self, not_after: +9d, basic_constraints: {ca: true}}]\n")
    (leaf,) = certificates(chain)
    assert "DO NOT TRUST" in leaf.subject.rfc4514_string()
    assert leaf.not_valid_after_utc <= now + timedelta(days=1)
    assert leaf.extensions.get_extension_for_class(x509.NameConstraints)


def test_a_link_ends_with_its_issuer_unless_told_otherwise(forged: Forged, now: datetime) -> None:
    leaf, ca = certificates(forged("chain: [{}, {not_after: +2h}, {authority: lab}]\n"))
    assert leaf.not_valid_after_utc == ca.not_valid_after_utc
    assert abs(ca.not_valid_after_utc - now - timedelta(hours=2)) < timedelta(seconds=2)


def test_a_trusted_link_is_what_the_client_is_given(forged: Forged) -> None:
    chain = forged("chain: [{}, {subject: CN=Root, trusted: true}]\n")
    (leaf,) = certificates(chain)
    anchor = x509.load_pem_x509_certificate(chain.anchor_pem)
    leaf.verify_directly_issued_by(anchor)
    assert anchor.subject.rfc4514_string().startswith("O=mitm-demo: DO NOT TRUST,CN=Root")


def test_a_chain_is_sent_leaf_first_or_in_the_wrong_order(forged: Forged) -> None:
    links = "[{}, {subject: CN=One}, {subject: CN=Two}, {authority: lab, send: true}]"
    right, wrong = forged(f"chain: {links}\n"), forged(f"chain: {links}\nreverse: true\n")
    order = [subject.split("CN=")[1] for subject in right.subjects]
    assert [s.split(",")[0] for s in order] == ["localhost", "One", "Two", "Lab CA"]
    assert wrong.subjects == (right.subjects[0], *reversed(right.subjects[1:]))
    for chain in (right, wrong):
        made = tuple(c.subject.rfc4514_string() for c in certificates(chain))
        assert chain.subjects == made
        assert chain.issuer == certificates(chain)[0].issuer.rfc4514_string()


def test_a_link_can_be_left_out(forged: Forged) -> None:
    chain = forged("chain: [{}, {send: false}, {authority: lab}]\n")
    (leaf,) = certificates(chain)
    assert leaf.issuer.rfc4514_string() != leaf.subject.rfc4514_string()


@pytest.mark.parametrize(
    ("hash_", "issuer_key", "oid"),
    [
        ("sha1", "ec-p256", SignatureAlgorithmOID.ECDSA_WITH_SHA1),
        ("sha1", "rsa-2048", SignatureAlgorithmOID.RSA_WITH_SHA1),
        ("md5", "rsa-2048", SignatureAlgorithmOID.RSA_WITH_MD5),
    ],
)
@needs_openssl
def test_old_signatures_are_sound_for_who_still_takes_them(
    forged: Forged, hash_: str, issuer_key: str, oid: x509.ObjectIdentifier
) -> None:
    chain = forged(f"chain: [{{hash: {hash_}}}, {{key: {issuer_key}}}, {{authority: lab}}]\n")
    assert certificates(chain)[0].signature_algorithm_oid == oid
    assert openssl_verifies(chain, "-auth_level", "0")
    assert not openssl_verifies(chain, "-auth_level", "1")


def test_a_signature_that_does_not_exist_is_unsupported_with_its_reason(forged: Forged) -> None:
    with pytest.raises(Unsupported, match="no md5 signature"):
        forged("chain: [{hash: md5}, {authority: lab}]\n")
    with pytest.raises(Unsupported, match="no sha1 signature"):
        forged("chain: [{hash: sha1}, {key: ed25519}, {authority: lab}]\n")


@needs_openssl
def test_a_bad_signature_differs_in_one_bit(forged: Forged, authorities: Authorities) -> None:
    chain = forged("chain: [{breakages: [bad-signature]}, {authority: lab}]\n")
    (leaf,) = certificates(chain)
    assert leaf.issuer == authorities.lab.certificate.subject
    assert not openssl_verifies(chain)


def test_a_raw_extension_takes_the_place_of_the_one_that_would_be_made(forged: Forged) -> None:
    chain = forged("chain: [{extensions: [{oid: 2.5.29.37, der: 300a06082b06010505070302}]}]\n")
    (leaf,) = certificates(chain)
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usages.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert len(leaf.extensions) == len({e.oid for e in leaf.extensions})


def test_a_nul_byte_gets_into_names(forged: Forged) -> None:
    chain = forged(
        "chain: [{subject: 'CN={name}\\00.a.example', san: [\"DNS:{name}\\0.b.example\"]}]\n"
    )
    (leaf,) = certificates(chain)
    (cn,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert cn.value == "localhost\0.a.example"
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["localhost\0.b.example"]


@pytest.mark.parametrize("bits", [1024, 2048])
def test_rsa_keys_have_the_size_that_the_recipe_says(forged: Forged, bits: int) -> None:
    (leaf,) = certificates(forged(f"chain: [{{key: rsa-{bits}}}, {{authority: lab}}]\n"))
    key = leaf.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == bits


@needs_openssl
def test_an_rsa_key_of_512_bits_is_sound_but_for_its_length(forged: Forged) -> None:
    chain = forged("chain: [{key: rsa-512}, {authority: lab}]\n")
    assert openssl_verifies(chain, "-auth_level", "0", *STRICT)
    assert not openssl_verifies(chain, "-auth_level", "1")


def test_without_the_openssl_command_512_bits_are_unsupported(
    forged: Forged, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitm.pki import keys

    keys.rsa_512.cache_clear()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match="openssl command"):
        forged("chain: [{key: rsa-512}, {authority: lab}]\n")


def test_a_value_that_makes_no_sense_names_the_recipe(forged: Forged) -> None:
    with pytest.raises(UserError, match="certificate mine: IP:localhost"):
        forged("chain: [{san: ['IP:{name}']}]\n")
    with pytest.raises(UserError, match="certificate mine: "):
        forged("chain: [{not_before: +12h}, {not_after: +1h}]\n")


def test_a_dns_name_is_not_made_of_an_address(forged: Forged) -> None:
    with pytest.raises(Unsupported, match=r"127\.0\.0\.1, is an address"):
        forged("chain: [{san: ['DNS:{name}']}]\n", "127.0.0.1")
    assert forged("dial: ip\nchain: [{san: ['DNS:{name}']}]\n", "127.0.0.1")
