"""An authority of the user's own, for a client that has its CA compiled in."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from mitm.errors import UserError
from mitm.pki import der
from mitm.pki.authority import Authority
from mitm.pki.own import certificates_from_file, keys_from_file, parsed, public_key

# id-RSASSA-PSS (RFC 4055 section 3.1): a key that makes no other signature.
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")

_SIGNS = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
_CANNOT_SIGN = "has a kind of key that signs no certificates here: RSA, ECDSA and Ed25519 do"


def authority_from_files(cert: Path, key: Path) -> Authority:
    """Read a CA, of which the key stays in memory.

    Args:
        cert: PEM file of the CA that the client trusts; of several, the one that the key fits.
        key: PEM file with its key.

    Raises:
        UserError: a file cannot be read, the key is encrypted or does not fit, the certificate is
            not a CA's, or not now.
    """
    certificates = certificates_from_file(cert)
    keys = keys_from_file(key)
    for each in keys:
        for certificate in certificates:
            if each.public is not None and each.public == public_key(certificate):
                found = parsed(certificate)
                assert found is not None
                _must_be_a_ca(found, cert)
                if not isinstance(each.key, _SIGNS) or _is_for_pss(certificate):
                    raise UserError(f"the authority {cert} {_CANNOT_SIGN}")
                pem = b"".join(der.pem("CERTIFICATE", known) for known in certificates)
                return Authority(found, each.key, pem, own=True)
    if any(each.public is None for each in keys):
        raise UserError(f"the key {key} {_CANNOT_SIGN}")
    raise UserError(f"the key {key} does not fit the authority {cert}")


def _is_for_pss(certificate: bytes) -> bool:
    # The algorithm comes first, and is the longer for its parameters.
    return _RSASSA_PSS in der.public_key_info_of(certificate)[:20]


def _must_be_a_ca(certificate: x509.Certificate, path: Path) -> None:
    try:
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca:
            raise UserError(f"{path} is not a CA's certificate: its basic constraints say CA:FALSE")
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.key_cert_sign:
            raise UserError(f"{path} may not sign certificates: its key usage lacks keyCertSign")
    except x509.ExtensionNotFound as error:
        # The one may be absent (RFC 5280 section 4.2.1.3), the other not (section 4.2.1.9).
        if error.oid == x509.BasicConstraints.oid:
            raise UserError(
                f"{path} is not a CA's certificate: it has no basic constraints"
            ) from None
    except ValueError as error:
        raise UserError(f"{path} has extensions that cannot be read: {error}") from None
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise UserError(f"{path} has expired, on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise UserError(
            f"{path} is not valid yet, until {certificate.not_valid_before_utc:%Y-%m-%d}"
        )
