"""A chain that can be presented, and the TLS context that presents it."""

import contextlib
import hashlib
import ssl
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
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
from mitm.pki.recipe import Tls
from mitm.pki.unsupported import Unsupported

T = TypeVar("T")

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Chain(msgspec.Struct, frozen=True):
    """Certificates in the order sent, and the key that the presenter holds.

    Attributes:
        name: of the recipe or the file.
        certificates: DER, leaf first; a deliberately malformed one may not parse.
        key_pem: the private key, PKCS #8.
        anchor_pem: what the client under test is given as its CA file; b"" if not known.
        subjects: of each certificate, in RFC 4514 form.
        issuer: of the leaf.
        tls: how it is served.
    """

    name: str
    certificates: tuple[bytes, ...]
    key_pem: bytes
    anchor_pem: bytes
    subjects: tuple[str, ...]
    issuer: str
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
    def sha256(self) -> str:
        """Fingerprint of the leaf, in hexadecimal."""
        return hashlib.sha256(self.certificates[0]).hexdigest()


def ssl_context(chain: Chain, alpn: str | None = None) -> ssl.SSLContext:
    """A server's TLS context that presents a chain.

    Args:
        chain: what to present, and how.
        alpn: the application protocol to choose, unless the chain says another; None for none.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A resumed session shows no certificate (RFC 8446 section 2.2): each must be a full one.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    # The only way into an SSLContext is through a file. The directory has mode 0700.
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as directory:
        file = Path(directory) / "chain.pem"
        file.touch(mode=0o600)
        file.write_bytes(chain.pem + chain.key_pem)
        try:
            _set_protocol(context, chain.tls)
            context.load_cert_chain(file)
        except (ssl.SSLError, ValueError) as error:
            raise Unsupported(f"OpenSSL refuses to present it: {_reason(error)}") from None
    _rehearse(context)
    chosen = chain.tls.alpn or alpn
    if chosen and chosen != "none":
        context.set_alpn_protocols([chosen])
    return context


def _set_protocol(context: ssl.SSLContext, tls: Tls) -> None:
    # Weak keys and signatures are what some recipes are about; the client is to judge them.
    context.set_ciphers(f"{tls.ciphers or 'DEFAULT'}:@SECLEVEL=0")
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are deprecated, which is the point of presenting them.
        warnings.simplefilter("ignore", DeprecationWarning)
        if tls.minimum:
            context.minimum_version = _VERSIONS[tls.minimum]
        if tls.maximum:
            context.maximum_version = _VERSIONS[tls.maximum]


def _rehearse(context: ssl.SSLContext) -> None:
    """Play the handshake with a client that takes everything.

    What the local OpenSSL cannot serve, or is configured not to, often shows only then. It has to
    be told apart from a client that left.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _lenient_client().wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    # A full handshake takes two round trips at the most.
    for _ in range(3):
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
        except ssl.SSLError:
            # It has its reasons, such as a signature by the wrong key: the server did its part.
            return
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
        except ssl.SSLError as error:
            raise Unsupported(f"OpenSSL cannot serve it: {_reason(error)}") from None


@cache
def _lenient_client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _set_protocol(context, Tls(minimum="TLSv1", ciphers="ALL:COMPLEMENTOFALL"))
    return context


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error.args[-1]
    return str(reason).lower().replace("_", " ")


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
