"""What a probe is given: a certificate that gets in, and the CA of the clients if it is there."""

from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from mitm import pki
from mitm.errors import UserError
from mitm.pki.own import key_for


class Credentials(NamedTuple):
    """What is known on the clients' side.

    Attributes:
        good: the certificate that gets in, and its key.
        key: that key, for `cryptography`; None if it does not know its kind.
        identity: who that is.
        authority: the CA that signs clients, with its key; None if that is not at hand.
        certificate: the good one; it may be of odd form, but not so odd.
    """

    good: pki.Chain
    key: object | None
    identity: pki.Identity
    authority: pki.Authority | None
    certificate: x509.Certificate


def credentials_from_files(
    cert: Path, key: Path, ca_cert: Path | None = None, ca_key: Path | None = None
) -> Credentials:
    """Read them.

    Args:
        cert, key: of the good client, PEM, the leaf first.
        ca_cert, ca_key: of the CA that signs clients, PEM; None for what is not at hand.

    Raises:
        UserError: a file is missing, not what it should be, or does not fit the other; or the CA
            has not signed the certificate.
    """
    good = pki.chain_from_files(cert, key)
    identity = pki.identity_of(good.certificates[0], cert)
    if (ca_cert is None) != (ca_key is None):
        raise UserError(
            "--client-ca-cert and --client-ca-key go together: the CA that signs clients, and the "
            "key to it, PEM"
        )
    authority = pki.authority_from_files(ca_cert, ca_key) if ca_cert and ca_key else None
    certificate = x509.load_der_x509_certificate(good.certificates[0])
    if authority and not _leads_to(good, authority):
        raise UserError(
            f"--client-ca-cert {ca_cert}: it has signed none of the certificates in {cert}, which "
            f"ends with one of {certificate.issuer.rfc4514_string()!r}: name the CA that did"
        )
    found = key_for(good.certificates, cert, key).key
    return Credentials(good, found, identity, authority, certificate)


def _leads_to(chain: pki.Chain, authority: pki.Authority) -> bool:
    """Whether one of these certificates is signed by an authority."""
    for der in chain.certificates:
        try:
            x509.load_der_x509_certificate(der).verify_directly_issued_by(authority.certificate)
        except (ValueError, TypeError, x509.UnsupportedGeneralNameType):
            continue
        except Exception:  # noqa: S112  # InvalidSignature, and what old kinds of keys raise
            continue
        return True
    return False
