"""DER surgery."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mitm.pki import der


@pytest.fixture
def certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=localhost")
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x1234)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


@given(st.lists(st.tuples(st.integers(1, 0xBE), st.binary(max_size=70_000)), max_size=4))
def test_elements_are_read_back_as_they_were_written(parts: list[tuple[int, bytes]]) -> None:
    data = b"".join(der.element(tag, content) for tag, content in parts)
    read = list(der.elements(data))
    assert [(tag, content) for tag, content, _ in read] == parts
    assert b"".join(whole for _, _, whole in read) == data


@pytest.mark.parametrize(
    ("length", "encoded"), [(0, "00"), (127, "7f"), (128, "8180"), (256, "820100")]
)
def test_lengths_are_encoded_in_the_shortest_form(length: int, encoded: str) -> None:
    # X.690 section 10.1.
    assert der.element(4, bytes(length))[1:].hex().startswith(encoded)


def test_a_certificate_taken_apart_and_joined_is_the_same(certificate: x509.Certificate) -> None:
    whole = certificate.public_bytes(Encoding.DER)
    tbs, algorithm, signature = der.split(whole)
    assert tbs == certificate.tbs_certificate_bytes
    assert signature == certificate.signature
    assert der.join(tbs, algorithm, signature) == whole


def test_another_algorithm_is_what_is_read_back(certificate: x509.Certificate) -> None:
    tbs, _, signature = der.split(certificate.public_bytes(Encoding.DER))
    sha384 = der.algorithm_identifier(bytes.fromhex("2a8648ce3d040303"), null=False)
    changed = x509.load_der_x509_certificate(
        der.join(der.with_algorithm(tbs, sha384), sha384, signature)
    )
    assert changed.signature_algorithm_oid == x509.SignatureAlgorithmOID.ECDSA_WITH_SHA384
    assert changed.serial_number == 0x1234


def test_another_public_key_is_what_is_read_back(certificate: x509.Certificate) -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    tbs, algorithm, signature = der.split(certificate.public_bytes(Encoding.DER))
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    changed = der.join(der.with_public_key(tbs, public), algorithm, signature)
    assert x509.load_der_x509_certificate(changed).public_key() == key


def test_version_1_has_no_extensions(certificate: x509.Certificate) -> None:
    tbs, algorithm, signature = der.split(certificate.public_bytes(Encoding.DER))
    changed = x509.load_der_x509_certificate(der.join(der.as_version_1(tbs), algorithm, signature))
    assert changed.version == x509.Version.v1
    assert len(changed.extensions) == 0
    assert changed.subject == certificate.subject


@given(st.binary(min_size=1, max_size=500))
def test_text_around_der_is_read_by_others_and_by_us(data: bytes) -> None:
    text = der.pem("CERTIFICATE", data)
    assert der.unpem(text) == data
    assert ssl.PEM_cert_to_DER_cert(text.decode()) == data
