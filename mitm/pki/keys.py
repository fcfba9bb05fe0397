"""Private keys for links, the weak and the mismatched among them."""

import functools
import hashlib
import itertools
import math
import secrets
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

_CURVES = {
    "ec-p256": ec.SECP256R1(),
    "ec-p256-explicit": ec.SECP256R1(),
    "ec-p384": ec.SECP384R1(),
}

# What stands before the hash in a signature over SHA-256 (RFC 8017 section 9.2, note 1).
_SHA_256 = bytes.fromhex("3031300d060960864801650304020105000420")

_EXPONENT = 65537

_LARGE = 16_384

# P-256 (SEC 2 section 2.4.2): its field, both coefficients, the order of its base point, and that.
_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
_A = _FIELD - 3
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BASE = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)

# DER without tag and length: id-ecPublicKey and prime-field (RFC 3279 section 2.3.5).
_EC_PUBLIC_KEY, _PRIME_FIELD = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0101")


class WeakKey(NamedTuple):
    """A key that `cryptography` does not handle, since it is too short to sign anything with.

    Attributes:
        pem: the private key, PKCS #8.
        public: SubjectPublicKeyInfo, DER.
    """

    pem: bytes
    public: bytes


class LargeKey(NamedTuple):
    """An RSA key of 16,384 bits, that signs at once.

    Two primes of that size take minutes to find, so it has many small ones (RFC 8017 section 3.1).
    Nobody sees that from outside.

    Attributes:
        primes: all its factors.
    """

    primes: tuple[int, ...]

    @property
    def modulus(self) -> int:
        return math.prod(self.primes)

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(_EXPONENT, self.modulus).public_key()

    def sign(self, data: bytes) -> bytes:
        """Sign by RSASSA-PKCS1-v1_5 over SHA-256 (RFC 8017 section 8.2.1)."""
        size = self.modulus.bit_length() // 8
        digest = _SHA_256 + hashlib.sha256(data).digest()
        padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
        message, signature, product = int.from_bytes(padded, "big"), 0, 1
        # Prime by prime, by the Chinese remainder theorem.
        for prime in self.primes:
            residue = pow(message % prime, pow(_EXPONENT, -1, prime - 1), prime)
            signature += product * ((residue - signature) * pow(product, -1, prime) % prime)
            product *= prime
        return signature.to_bytes(size, "big")


Key = CertificateIssuerPrivateKeyTypes | LargeKey


def generate(kind: str) -> Key:
    """Make a key of a recipe's kind, `rsa-512` excepted."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "rsa-16384":
        return _large()
    return _rsa(int(kind.removeprefix("rsa-")))


@functools.cache
def _large() -> LargeKey:
    primes = tuple(_prime(128) for _ in range(126))
    # A product has as many bits as its factors together, or one less.
    missing = _LARGE - math.prod(primes).bit_length()
    tried = (LargeKey((*primes, _prime(missing + bit))) for bit in itertools.cycle((0, 1)))
    return next(key for key in tried if key.modulus.bit_length() == _LARGE)


# By one of these, most numbers that are no primes can be divided.
_SMALL_FACTORS = math.prod(n for n in range(3, 500, 2) if all(n % d for d in range(3, n, 2)))


def _prime(bits: int) -> int:
    """A prime of so many bits. What passes Fermat's test for two bases is hardly ever another."""
    while True:
        number = secrets.randbits(bits - 1) | 1 << (bits - 1) | 1
        if math.gcd(number, _SMALL_FACTORS) > 1 or number % _EXPONENT == 1:
            continue
        if all(pow(base, number - 1, number) == 1 for base in (2, 3)):
            return number


@functools.cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    # Half a second for 3,072 bits: one a process is enough for a demonstration.
    return rsa.generate_private_key(_EXPONENT, bits)


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


def public_info(key: Key) -> bytes:
    """The public half of a key, SubjectPublicKeyInfo, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def with_explicit_curve(key: Key) -> bytes:
    """The public half of a key on P-256, its curve described and not named.

    Returns:
        SubjectPublicKeyInfo with ECParameters of the choice SpecifiedECDomain (SEC 1 section C.2).
    """
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    curve = der.element(4, _A.to_bytes(32, "big")) + der.element(4, _B.to_bytes(32, "big"))
    parameters = (
        der.integer(1)
        + der.sequence(der.element(6, _PRIME_FIELD) + der.integer(_FIELD))
        + der.sequence(curve)
        + der.element(4, _BASE)
        + der.integer(_ORDER)
        + der.integer(1)
    )
    algorithm = der.sequence(der.element(6, _EC_PUBLIC_KEY) + der.sequence(parameters))
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return der.sequence(algorithm + der.element(3, b"\0" + point))


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
