"""Chains made from recipes, judged by implementations that are not ours."""

import itertools
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from mitm.errors import UserError
from mitm.pki import Authorities, Chain, Unsupported, der, forge, load_recipe
from mitm.pki.authority import constrained_to
from tests.pki.conftest import Forged
from tests.pki.verifiers import (
    cryptography_verifies,
    needs_openssl,
    openssl_says,
    openssl_verifies,
)

T = TypeVar("T", bound=x509.ExtensionType)

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


# Copies, and several certificates for one key


def extension_of(certificate: x509.Certificate, kind: type[T]) -> T:
    return certificate.extensions.get_extension_for_class(kind).value


def test_a_copy_with_another_key_is_the_genuine_one_in_all_else(
    authorities: Authorities, now: datetime
) -> None:
    genuine = forge(load_recipe("genuine"), "localhost", authorities, now).certificates[0]
    copy = forge(load_recipe("replaced-key"), "localhost", authorities, now)
    (leaf,) = copy.certificates
    keys = [der.public_key_info_of(certificate) for certificate in (genuine, leaf)]
    assert keys[0] != keys[1]
    assert leaf == der.with_key_replaced(genuine, der.sequence(keys[1]))
    # The key that is presented is the one in the copy.
    presented = load_pem_private_key(copy.key_pem, None)
    (parsed,) = certificates(copy)
    assert presented.public_key() == parsed.public_key()


@needs_openssl
@pytest.mark.parametrize("name", ["imitated-ca", "forged-intermediate", "replaced-key"])
def test_who_takes_the_name_of_the_trusted_ca_is_caught_by_its_signature_alone(
    name: str, authorities: Authorities, now: datetime
) -> None:
    chain = forge(load_recipe(name), "localhost", authorities, now)
    last = certificates(chain)[-1]
    known = extension_of(authorities.lab.certificate, x509.SubjectKeyIdentifier).digest
    assert extension_of(last, x509.AuthorityKeyIdentifier).key_identifier == known
    said = openssl_says(chain)
    assert "certificate signature failure" in said
    assert "unable to get" not in said


def test_links_may_share_a_key_and_be_signed_out_of_turn(forged: Forged) -> None:
    leaf, old, new = certificates(
        forged(
            "chain: [{}, {subject: CN=A, same_key_as: 2, signed_by: lab, not_after: +1h},"
            " {subject: CN=A}, {authority: lab}]\n"
        )
    )
    assert old.public_key() == new.public_key()
    assert old.subject == new.subject
    assert old.not_valid_after_utc < new.not_valid_after_utc
    for issuer in (old, new):
        leaf.verify_directly_issued_by(issuer)


def test_cas_may_sign_one_another(forged: Forged) -> None:
    leaf, one, two = certificates(
        forged("chain: [{}, {subject: CN=A, signed_by: 2}, {subject: CN=B, signed_by: 1}]\n")
    )
    leaf.verify_directly_issued_by(one)
    one.verify_directly_issued_by(two)
    two.verify_directly_issued_by(one)
    # Nobody trusts them.
    for ca in (one, two):
        assert extension_of(ca, x509.NameConstraints)


def test_a_link_may_hold_the_key_of_the_trusted_ca(
    forged: Forged, authorities: Authorities
) -> None:
    chain = forged(
        "chain: [{signed_by: lab}, {subject: 'CN=Lab CA,O=mitm-demo: DO NOT TRUST',"
        " same_key_as: lab, not_after: +2h}, {subject: CN=Old, trusted: also}]\n"
    )
    leaf, cross = certificates(chain)
    leaf.verify_directly_issued_by(cross)
    leaf.verify_directly_issued_by(authorities.lab.certificate)
    trusted = x509.load_pem_x509_certificates(chain.anchor_pem)
    assert trusted[0] == authorities.lab.certificate
    cross.verify_directly_issued_by(trusted[1])


def test_a_link_may_stand_for_many(forged: Forged) -> None:
    chain = forged("chain: [{}, {repeat: 5}, {authority: lab, send: true}]\n")
    path = certificates(chain)
    assert len(path) == 7
    assert len({c.subject for c in path}) == 7
    for certificate, issuer in itertools.pairwise(path):
        certificate.verify_directly_issued_by(issuer)


@pytest.mark.parametrize("serial", [0, -1, -128, -129, 127, 128, 1 << 160, (1 << 167) - 1])
def test_a_serial_number_is_as_the_recipe_says_and_signed_for(
    forged: Forged, authorities: Authorities, serial: int
) -> None:
    chain = forged(f"chain: [{{serial: {serial}}}, {{authority: lab}}]\n")
    tbs, _, signature = der.split(chain.certificates[0])
    ((_, body, _),) = der.elements(tbs)
    _, (_, number, _), *_ = der.elements(body)
    assert int.from_bytes(number, "big", signed=True) == serial
    # As short as may be (X.690 section 8.3.2).
    assert len(number) == 1 or number[:2] not in (b"\0\0", b"\xff\xff")
    key = authorities.lab.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, tbs, ec.ECDSA(hashes.SHA256()))


def test_a_large_key_signs_as_others_do(forged: Forged) -> None:
    leaf, ca = certificates(forged("chain: [{}, {key: rsa-16384}, {authority: lab}]\n"))
    key = ca.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 16_384
    leaf.verify_directly_issued_by(ca)
    with pytest.raises(Unsupported, match="for a CA here, not for the leaf"):
        forged("chain: [{key: rsa-16384}, {authority: lab}]\n")
    with pytest.raises(Unsupported, match="no signature"):
        forged("chain: [{hash: sha512}, {key: rsa-16384}, {authority: lab}]\n")


def test_names_may_be_many_and_in_any_letters(forged: Forged) -> None:
    chain = forged('chain: [{san: ["DNS:{unicode}", "DNS:{name}"], san_more: 100}]\n')
    ((_, names, _),) = der.elements(san_of(chain.certificates[0]))
    values = [value.decode() for _, value, _ in der.elements(names)]
    assert len(values) == len({*values}) == 102
    assert values[-2:] == ["\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54", "localhost"]


def san_of(certificate: bytes) -> bytes:
    """The octets of the alternative names, which no library reads that are not in ASCII."""
    tbs, _, _ = der.split(certificate)
    (_, octets, _), *_ = der.elements(tbs.partition(bytes.fromhex("0603551d11"))[2])
    return octets
