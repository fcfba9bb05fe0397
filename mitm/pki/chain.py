"""A chain that can be presented, and all that goes with it: key, name, what a client trusts."""

import hashlib
import ssl
from datetime import datetime
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from mitm.pki.recipe import Tls


class Chain(msgspec.Struct, frozen=True):
    """Certificates in the order sent, and the key that the presenter holds.

    Attributes:
        name: of the recipe or the file.
        certificates: DER, leaf first; a deliberately malformed one may not parse.
        key_pem: the private key.
        anchor_pem: what the client under test is given as its CA file; b"" if not known.
        subjects: of each certificate, in RFC 4514 form.
        issuer: of the leaf.
        host: what the client dials to be shown it; "" if not known.
        server_name: the name that the client is to expect; "" if not known.
        tls: how it is served.
        system_pem: the CA above it that the client is not given, and its machine is to trust; b""
            if there is none.
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
    system_pem: bytes = b""

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

    def with_anchor(self) -> "Chain":
        """The same with the anchor sent behind it, which RFC 8446 section 4.4.2 leaves open."""
        anchors = x509.load_pem_x509_certificates(self.anchor_pem)
        return msgspec.structs.replace(
            self,
            certificates=(*self.certificates, *(a.public_bytes(Encoding.DER) for a in anchors)),
            subjects=(*self.subjects, *(a.subject.rfc4514_string() for a in anchors)),
        )

    def is_valid_at(self, when: datetime) -> bool:
        """Whether a moment, aware of its time zone, lies within the leaf's validity period."""
        leaf = x509.load_der_x509_certificate(self.certificates[0])
        return leaf.not_valid_before_utc <= when <= leaf.not_valid_after_utc

    @property
    def sha256(self) -> str:
        """Fingerprint of the leaf, in hexadecimal."""
        return hashlib.sha256(self.certificates[0]).hexdigest()
