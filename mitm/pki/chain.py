"""A chain that can be presented, and the TLS context that presents it."""

import hashlib
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mitm.errors import UserError

T = TypeVar("T")


class Unsupported(Exception):  # noqa: N818
    """This recipe cannot be made or served by the libraries here; the text says why."""


class Chain(msgspec.Struct, frozen=True):
    """Certificates in the order sent, and the key that the presenter holds.

    Attributes:
        name: of the recipe or the file.
        certificates: DER, leaf first; a deliberately malformed one may not parse.
        key_pem: the private key, PKCS #8.
        anchor_pem: what the client under test is given as its CA file; b"" if not known.
        subjects: of each certificate, in RFC 4514 form.
        issuer: of the leaf.
    """

    name: str
    certificates: tuple[bytes, ...]
    key_pem: bytes
    anchor_pem: bytes
    subjects: tuple[str, ...]
    issuer: str

    @property
    def pem(self) -> bytes:
        """The chain as it is sent."""
        return b"".join(ssl.DER_cert_to_PEM_cert(c).encode() for c in self.certificates)

    @property
    def leaf_pem(self) -> bytes:
        """The leaf alone, for clients that pin it."""
        return ssl.DER_cert_to_PEM_cert(self.certificates[0]).encode()

    @property
    def sha256(self) -> str:
        """Fingerprint of the leaf, in hexadecimal."""
        return hashlib.sha256(self.certificates[0]).hexdigest()


def ssl_context(chain: Chain) -> ssl.SSLContext:
    """A server's TLS context that presents a chain.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A resumed session shows no certificate (RFC 8446 section 2.2): each must be a full one.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    # Weak keys and signatures are what some recipes are about; the client is to judge them.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    # The only way into an SSLContext is through a file. The directory has mode 0700.
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as directory:
        file = Path(directory) / "chain.pem"
        file.touch(mode=0o600)
        file.write_bytes(chain.pem + chain.key_pem)
        try:
            context.load_cert_chain(file)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise Unsupported(f"OpenSSL refuses to present it: {reason}") from None
    return context


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
