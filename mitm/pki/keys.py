"""Private keys for links, the weak and the mismatched among them."""

import functools
import subprocess
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mitm.pki import der
from mitm.pki.unsupported import Unsupported

Key = CertificateIssuerPrivateKeyTypes

_CURVES = {"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1()}


class WeakKey(NamedTuple):
    """A key that `cryptography` does not handle, since it is too short to sign anything with.

    Attributes:
        pem: the private key, PKCS #8.
        public: SubjectPublicKeyInfo, DER.
    """

    pem: bytes
    public: bytes


def generate(kind: str) -> Key:
    """Make a key of a recipe's kind, `rsa-512` excepted."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return _rsa(int(kind.removeprefix("rsa-")))


@functools.cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    # Half a second for 3,072 bits: one a process is enough for a demonstration.
    return rsa.generate_private_key(65537, bits)


@functools.cache
def rsa_512() -> WeakKey:
    """Make an RSA key of 512 bits, which takes the `openssl` command.

    Raises:
        Unsupported: the command is not there, or refuses.
    """
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"]
    try:
        made = subprocess.run(command, capture_output=True, check=True, timeout=10)
    except OSError:
        raise Unsupported("an RSA key of 512 bits takes the openssl command: not found") from None
    except subprocess.SubprocessError:
        raise Unsupported("openssl does not make an RSA key of 512 bits") from None
    # PrivateKeyInfo (RFC 5208): version, algorithm, an OCTET STRING around RSAPrivateKey, which
    # begins with version, modulus and public exponent (RFC 8017 appendix A.1.2).
    ((_, info, _),) = der.elements(der.unpem(made.stdout))
    _, (_, _, algorithm), (_, octets, _), *_ = der.elements(info)
    ((_, private, _),) = der.elements(octets)
    _, (_, _, modulus), (_, _, exponent), *_ = der.elements(private)
    public = der.public_key_info(algorithm, modulus + exponent)
    return WeakKey(made.stdout, public)


def mismatched_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key of somebody who holds the certificate of this key, but not the key.

    OpenSSL presents no certificate with a key that does not fit, and it compares the public halves:
    so this has the public half of the key given, and a private half of its own (RFC 5915).
    """
    stranger = ec.generate_private_key(key.curve)
    size = (key.key_size + 7) // 8
    ((_, info, _),) = der.elements(
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    _, (_, _, algorithm), *_ = der.elements(info)
    scalar = stranger.private_numbers().private_value.to_bytes(size, "big")
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return der.pem("PRIVATE KEY", der.private_key_info(algorithm, scalar, point))
