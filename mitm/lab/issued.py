"""Certificates as a CA makes them of a request, whoever it is that asks."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mitm import pki


def new_key() -> bytes:
    """A private key of one's own, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issued(what: str, name: str, key_pem: bytes, authority: pki.Authority) -> pki.Chain:
    """Ask a CA for a server's certificate, and get it.

    Args:
        what: what the chain is called in events.
        name: DNS name that it is for.
        key_pem: the key of whoever asks.
        authority: who signs.
    """
    key = load_pem_private_key(key_pem, password=None)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    leaf = authority.issue(request)
    return pki.Chain(
        name=what,
        certificates=(leaf.public_bytes(Encoding.DER),),
        key_pem=key_pem,
        anchor_pem=authority.pem,
        subjects=(leaf.subject.rfc4514_string(),),
        issuer=leaf.issuer.rfc4514_string(),
        host=name,
        server_name=name,
    )
