"""The lab's CA and the attacker's."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from mitm.errors import UserError
from mitm.pki import Authorities, Chain, Unsupported
from mitm.pki.authority import AuthorityName, Purpose, constrained_to, make_authority
from mitm.pki.names import distinguished
from tests.pki.verifiers import needs_openssl, openssl_verifies


@pytest.mark.parametrize("which", get_args(AuthorityName))
def test_each_run_has_a_ca_of_its_own(which: AuthorityName) -> None:
    one, other = Authorities(["localhost"])[which], Authorities(["localhost"])[which]
    assert one.certificate.public_key() != other.certificate.public_key()
    assert one.certificate.serial_number != other.certificate.serial_number


@pytest.mark.parametrize("which", get_args(AuthorityName))
def test_a_ca_lives_for_a_day_and_says_not_to_be_trusted(
    authorities: Authorities, which: AuthorityName
) -> None:
    certificate = authorities[which].certificate
    assert "DO NOT TRUST" in certificate.subject.rfc4514_string()
    assert certificate.not_valid_after_utc <= datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("which", ["attacker", "system"])
def test_what_others_may_come_to_trust_is_good_for_the_names_under_test_alone(
    which: AuthorityName,
) -> None:
    certificate = Authorities(["localhost", "127.0.0.1"])[which].certificate
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value == constrained_to(["localhost", "127.0.0.1"])


def test_the_lab_ca_does_not_add_a_flaw_of_its_own() -> None:
    lab = Authorities(["localhost"]).lab.certificate
    with pytest.raises(x509.ExtensionNotFound):
        lab.extensions.get_extension_for_class(x509.NameConstraints)


@pytest.mark.parametrize(
    ("names", "permitted", "excluded"),
    [
        (["localhost", "127.0.0.1"], ["localhost", "127.0.0.1/32"], []),
        (["localhost"], ["localhost"], ["0.0.0.0/0", "::/0"]),
        (["::1"], ["::1/128"], [""]),
    ],
)
def test_a_form_of_name_that_is_not_under_test_is_excluded_altogether(
    names: list[str], permitted: list[str], excluded: list[str]
) -> None:
    made = constrained_to(names)
    assert [str(n.value) for n in made.permitted_subtrees or []] == permitted
    assert [str(n.value) for n in made.excluded_subtrees or []] == excluded


def test_a_ca_can_be_made_for_all_names() -> None:
    certificate = make_authority("Any CA", None).certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca


@pytest.mark.parametrize(
    ("name", "permitted"),
    [
        ("spiffe://lab.example/billing", "lab.example"),
        ("https://lab.example:8443/x", "lab.example"),
    ],
)
def test_a_uri_is_constrained_by_its_host(name: str, permitted: str) -> None:
    made = constrained_to([name])
    assert made.permitted_subtrees == [x509.UniformResourceIdentifier(permitted)]


# Certificate signing requests

KEY = ec.generate_private_key(ec.SECP256R1())


def request(
    subject: str = "CN=billing",
    names: tuple[x509.GeneralName, ...] = (x509.DNSName("billing.example"),),
    *extensions: x509.ExtensionType,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(distinguished(subject))
    if names:
        extensions = (x509.SubjectAlternativeName(names), *extensions)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


@needs_openssl
@pytest.mark.parametrize(("purpose", "other"), [("server", "sslclient"), ("client", "sslserver")])
def test_what_is_requested_is_signed_for_its_purpose_alone(
    authorities: Authorities, purpose: Purpose, other: str
) -> None:
    issued = authorities.lab.issue(request(), purpose=purpose)
    chain = chain_of(issued, authorities)
    assert openssl_verifies(chain, "-x509_strict", "-purpose", f"ssl{purpose}")
    assert not openssl_verifies(chain, "-x509_strict", "-purpose", other)
    assert issued.subject.rfc4514_string() == "CN=billing"
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["billing.example"]
    assert issued.public_key() == KEY.public_key()


def chain_of(issued: x509.Certificate, authorities: Authorities) -> Chain:
    return Chain(
        name="issued",
        certificates=(issued.public_bytes(Encoding.DER),),
        key_pem=b"",
        anchor_pem=authorities.lab.pem,
        subjects=(),
        issuer="",
    )


def test_what_is_issued_lives_for_a_day_at_the_most(authorities: Authorities) -> None:
    now = datetime.now(UTC)
    for asked, days in ((timedelta(days=90), 1.0), (timedelta(hours=12), 0.5)):
        issued = authorities.lab.issue(request(), lifetime=asked)
        assert issued.not_valid_after_utc <= now + timedelta(days=days, seconds=5)
        assert issued.not_valid_after_utc > now + timedelta(days=days, minutes=-5)


def forged_request() -> x509.CertificateSigningRequest:
    der = bytearray(request(key=rsa.generate_private_key(65537, 2048)).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (forged_request(), "signature of the request"),
        (request("", ()), "names nobody"),
        (
            request("CN=ca", (), x509.BasicConstraints(ca=True, path_length=None)),
            "for a CA",
        ),
    ],
)
def test_what_no_ca_should_sign_is_not_signed(
    authorities: Authorities, asked: x509.CertificateSigningRequest, why: str
) -> None:
    with pytest.raises(UserError, match=why):
        authorities.lab.issue(asked)


def test_an_authority_of_the_users_own_signs_for_nobody_else(authorities: Authorities) -> None:
    own = authorities.lab._replace(own=True)
    # Reserved for tests, or under test; the lab's own may sign for all.
    assert own.issue(request())
    elsewhere = request("CN=x", (x509.DNSName("bank.com"),))
    assert authorities.lab.issue(elsewhere)
    for asked in (elsewhere, request("CN=www.bank.com", ())):
        with pytest.raises(Unsupported, match="neither under test nor reserved"):
            own.issue(asked)
        assert own.issue(asked, under_test=["bank.com"])
    identity = request("", (x509.UniformResourceIdentifier("spiffe://bank.com/till"),))
    with pytest.raises(Unsupported, match="neither under test nor reserved"):
        own.issue(identity)
    assert own.issue(identity, under_test=["spiffe://bank.com/teller"])
