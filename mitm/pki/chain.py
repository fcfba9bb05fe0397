"""A chain that can be presented, and all that goes with it: key, name, what a client trusts."""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mitm.errors import UserError
from mitm.pki.recipe import Tls

T = TypeVar("T")


class Chain(msgspec.Struct, frozen=True):
    """Certificates in the order sent, and the key that the presenter holds.

    Attributes:
        name: of the recipe or the file.
        certificates: DER, leaf first; a deliberately malformed one may not parse.
        key_pem: the private key, PKCS #8.
        anchor_pem: what the client under test is given as its CA file; b"" if not known.
        subjects: of each certificate, in RFC 4514 form.
        issuer: of the leaf.
        host: what the client dials to be shown it; "" if not known.
        server_name: the name that the client is to expect; "" if not known.
        tls: how it is served.
    """

    name: str
    certificates: tuple[bytes, ...]
    key_pem: bytes
    anchor_pem: bytes
    subjects: tuple[str, ...]
    issuer: str
    host: str = ""
    server_name: str = ""
    tls: Tls = Tls()

    @property
    def pem(self) -> bytes:
        """The chain as it is sent."""
        return b"".join(ssl.DER_cert_to_PEM_cert(c).encode() for c in self.certificates)

    @property
    def leaf_pem(self) -> bytes:
        """The leaf alone, for clients that pin it."""
        return ssl.DER_cert_to_PEM_cert(self.certificates[0]).encode()

    @property
    def key_kind(self) -> Literal["", "ecdsa", "rsa", "ed25519"]:
        """By which kind of signature the presenter proves that it holds the key; "" for others."""
        try:
            key = load_pem_private_key(
                self.key_pem, password=None, unsafe_skip_rsa_key_validation=True
            )
        except (ValueError, UnsupportedAlgorithm):
            return ""
        match key:
            case ec.EllipticCurvePrivateKey():
                return "ecdsa"
            case rsa.RSAPrivateKey():
                return "rsa"
            case ed25519.Ed25519PrivateKey():
                return "ed25519"
        return ""

    @property
    def sha256(self) -> str:
        """Fingerprint of the leaf, in hexadecimal."""
        return hashlib.sha256(self.certificates[0]).hexdigest()


def chain_from_files(cert: Path, key: Path) -> Chain:
    """Read a chain of the user's own.

    Args:
        cert: PEM file, leaf first.
        key: PEM file with the leaf's private key.

    Raises:
        UserError: a file is missing or not PEM, or the key does not fit.
    """
    certificates = _parsed(cert, x509.load_pem_x509_certificates, "certificate")
    private = _parsed(key, lambda pem: load_pem_private_key(pem, password=None), "private key")
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificates[0].public_key().public_bytes(*spki) != private.public_key().public_bytes(*spki):
        raise UserError(f"the key {key} does not fit the certificate {cert}")
    return Chain(
        name=cert.name,
        certificates=tuple(c.public_bytes(Encoding.DER) for c in certificates),
        key_pem=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        anchor_pem=b"",
        subjects=tuple(c.subject.rfc4514_string() for c in certificates),
        issuer=certificates[0].issuer.rfc4514_string(),
    )


def _parsed(path: Path, parse: Callable[[bytes], T], what: str) -> T:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UserError(f"{path} holds no PEM {what} that can be read without a password") from None
