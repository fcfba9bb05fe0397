"""Chains and keys of the user's own: presented, or refused in one line that says what to do."""

import base64
import random
import re
import subprocess
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from mitm.errors import UserError
from mitm.pki import Authorities, Presentation, Unsupported, chain_from_files, forge, load_recipe
from mitm.pki.own import leaf_in, name_in, names_in
from tests.pki.oddities import with_serial
from tests.pki.verifiers import handshake, lax_client, needs_openssl

Key = CertificateIssuerPrivateKeyTypes

RSA = rsa.generate_private_key(65537, 2048)


def key_pem(key: Key, format_: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, format_, NoEncryption())


def self_signed(key: Key, *, expired: bool = False) -> x509.Certificate:
    name = x509.Name.from_rfc4514_string("CN=localhost")
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    plain = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=2))
        .not_valid_after(end)
        .sign(key, None if plain else hashes.SHA256())
    )


class Files:
    """A certificate and its key in a folder, to be written as one likes."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "own.pem", folder / "own.key"
        self.write(ec.generate_private_key(ec.SECP256R1()))

    def write(self, key: Key, *, expired: bool = False) -> None:
        made = self_signed(key, expired=expired)
        self.cert.write_bytes(made.public_bytes(Encoding.PEM))
        self.key.write_bytes(key_pem(key))

    def accepted(self) -> bool:
        """Whether a client that takes everything completes the handshake."""
        chain = chain_from_files(self.cert, self.key)
        return handshake(Presentation(chain).context(), lax_client()).refusal is None

    def refusal(self) -> str:
        """The one line with which the files are refused."""
        with pytest.raises((UserError, Unsupported)) as caught:
            Presentation(chain_from_files(self.cert, self.key))
        line = str(caught.value)
        assert "\n" not in line
        return line


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# Kinds of keys


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=lambda key: type(key).__name__,
)
def test_keys_that_clients_take_are_presented(files: Files, key: Key) -> None:
    files.write(key)
    assert files.accepted()


@needs_openssl
@pytest.mark.parametrize("options", [(), ("rsa_pss_keygen_md:sha384",)])
def test_keys_for_rsassa_pss_are_presented(files: Files, options: tuple[str, ...]) -> None:
    made = ["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"]
    made += [word for option in options for word in ("-pkeyopt", option)]
    self_signed = ["-x509", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    out = ["-keyout", files.key, "-out", files.cert]
    command = ["openssl", "req", *made, *self_signed, *out]
    subprocess.run([str(w) for w in command], check=True, capture_output=True)
    assert files.accepted()
    # Its own key is not for RSA in general; one of those fits no more than any other.
    files.key.write_bytes(key_pem(RSA))
    assert "does not fit" in files.refusal()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (ec.generate_private_key(ec.BrainpoolP256R1()), "on the curve brainpoolP256r1"),
        (ec.generate_private_key(ec.SECP256K1()), "on the curve secp256k1"),
        (ec.generate_private_key(ec.SECP224R1()), "on the curve secp224r1"),
        (dsa.generate_private_key(1024), "it has a DSA key"),  # noqa: S505
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keys_that_no_client_takes_are_refused_at_once(files: Files, key: Key, said: str) -> None:
    files.write(key)
    assert said in files.refusal()


@needs_openssl
def test_a_kind_of_key_that_hardly_anybody_knows_is_refused_at_once(files: Files) -> None:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:sect233k1"]
    command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=localhost", *curve]
    command += ["-keyout", str(files.key), "-out", str(files.cert)]
    subprocess.run(command, check=True, capture_output=True)
    # By OpenSSL, or by the library that knows it here.
    assert re.search("OpenSSL |on the curve sect233k1", files.refusal())


def test_an_expired_certificate_is_for_the_client_to_judge(files: Files) -> None:
    files.write(RSA, expired=True)
    assert files.accepted()


def test_an_odd_certificate_is_for_the_client_to_judge(files: Files) -> None:
    odd = with_serial(self_signed(RSA).public_bytes(Encoding.DER), b"\xff")
    files.cert.write_bytes(
        b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % base64.encodebytes(odd)
    )
    files.key.write_bytes(key_pem(RSA))
    assert files.accepted()
    assert name_in(odd, "subject") == "CN=localhost"


# How the files are written


def test_text_around_windows_line_ends_and_byte_order_marks_do_not_matter(files: Files) -> None:
    for path in (files.cert, files.key):
        text = f"Bag Attributes\n    friendlyName: x\n{path.read_text()}\nAnd more.\n"
        text = text.replace("\n", "\r\n")
        for written in (
            text.encode("utf-8-sig"),
            text.encode("utf-16"),
            text.replace("\r\n", "\r").encode(),
            "é".encode("latin-1") + text.encode(),
        ):
            path.write_bytes(written)
            assert files.accepted()


@pytest.mark.parametrize("format_", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_each_form_of_key_is_read(files: Files, format_: PrivateFormat) -> None:
    for key in (RSA, ec.generate_private_key(ec.SECP256R1())):
        files.write(key)
        files.key.write_bytes(key_pem(key, format_))
        assert files.accepted()


def test_of_several_items_the_key_that_fits_is_taken(files: Files) -> None:
    # As `openssl ecparam -genkey` writes it, with others before and behind.
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    mine, other = files.key.read_bytes(), key_pem(RSA)
    for written in (parameters + mine, other + mine, files.cert.read_bytes() + mine + other):
        files.key.write_bytes(written)
        assert files.accepted()
    files.key.write_bytes(other + key_pem(ed25519.Ed25519PrivateKey.generate()))
    assert "does not fit the certificate" in files.refusal()


@pytest.mark.parametrize("format_", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_told_with_what_to_do(files: Files, format_: PrivateFormat) -> None:
    files.write(RSA)
    encrypted = RSA.private_bytes(Encoding.PEM, format_, BestAvailableEncryption(b"secret"))
    files.key.write_bytes(encrypted)
    assert f"is encrypted: take its password off: openssl pkey -in {files.key}" in files.refusal()
    # The twin: beside one that is not, it is passed over.
    files.key.write_bytes(encrypted + key_pem(RSA))
    assert files.accepted()


def test_der_and_pkcs12_are_told_with_what_to_do(files: Files) -> None:
    made = self_signed(RSA)
    files.write(RSA)
    files.cert.write_bytes(made.public_bytes(Encoding.DER))
    assert (
        f"it is DER; write it as PEM: openssl x509 -inform DER -in {files.cert}" in files.refusal()
    )
    files.cert.write_bytes(
        pkcs12.serialize_key_and_certificates(b"x", RSA, made, None, NoEncryption())
    )
    assert f"it is PKCS #12; write it as PEM: openssl pkcs12 -in {files.cert}" in files.refusal()
    files.write(RSA)
    files.key.write_bytes(RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert "openssl pkey -inform DER" in files.refusal()


@pytest.mark.parametrize(
    ("cert", "said"),
    [
        (b"", "holds no PEM certificate: it is empty"),
        (b"hello", "holds no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB", "an item begins in it that does not end"),
        (
            b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----",
            "item 1, CERTIFICATE, is damaged",
        ),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----",
            "no PEM certificate, only CERTIFICATE REQUEST",
        ),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "OpenSSL refuses"),
    ],
)
def test_what_is_no_certificate_is_told_by_what_it_is(files: Files, cert: bytes, said: str) -> None:
    files.cert.write_bytes(cert)
    assert said in files.refusal()


# The chain


def test_a_chain_that_begins_with_the_issuer_is_told(
    files: Files, authorities: Authorities, now: datetime
) -> None:
    chain = forge(load_recipe("long-chain"), "localhost", authorities, now)
    files.key.write_bytes(chain.key_pem)
    certificates = re.findall(rb"-----BEGIN.*?-----END CERTIFICATE-----\n", chain.pem, re.DOTALL)
    assert len(certificates) > 2
    files.cert.write_bytes(b"".join(reversed(certificates)))
    assert f"belongs to number {len(certificates)} in it; put that first" in files.refusal()
    # The twin: as it should be; and what follows the leaf is sent in whatever order it is given.
    leaf, *others = certificates
    for order in (others, others[::-1]):
        files.cert.write_bytes(b"".join([leaf, *order]))
        assert chain_from_files(files.cert, files.key).pem == files.cert.read_bytes()
        assert files.accepted()


@given(cert=st.binary(), key=st.binary(), label=st.sampled_from(["CERTIFICATE", "PRIVATE KEY"]))
def test_any_bytes_are_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, cert: bytes, key: bytes, label: str
) -> None:
    files = Files(tmp_path_factory.getbasetemp())
    block = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        base64.encodebytes(cert),
        label.encode(),
    )
    for content in (cert, block):
        files.cert.write_bytes(content)
        files.key.write_bytes(key + block)
        assert files.refusal()


def test_a_strangers_certificate_is_read_as_far_as_that_can_be(
    authorities: Authorities,
) -> None:
    """Bytes of a good one are changed: its version, kinds of text, names, extensions."""
    leaf = forge(load_recipe("genuine"), "localhost", authorities).certificates[0]
    chance = random.Random(1)  # noqa: S311 (the same each time)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names_in(leaf) == ("localhost",)
        for _ in range(5_000):
            changed = bytearray(leaf)
            changed[chance.randrange(len(leaf))] = chance.randrange(256)
            assert isinstance(name_in(bytes(changed), "subject"), str)
            assert isinstance(name_in(bytes(changed), "issuer"), str)
            assert all(isinstance(name, str) for name in names_in(bytes(changed)))
            assert all(isinstance(name, str) for name in leaf_in(bytes(changed)).names)
