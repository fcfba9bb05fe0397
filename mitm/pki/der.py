"""Small surgery on certificates: what `cryptography` rightly refuses to make.

Only what that takes of DER (X.690): elements of definite length, one inside the other.
"""

import base64
from collections.abc import Iterator

_SEQUENCE, _INTEGER, _BIT_STRING, _OCTET_STRING = 0x30, 0x02, 0x03, 0x04
_OID, _NULL = 0x06, 0x05
_PUBLIC_KEY_TAG = 0xA1
_VERSION_TAG, _EXTENSIONS_TAG = 0xA0, 0xA3


def element(tag: int, content: bytes) -> bytes:
    """Encode one element."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements that stand one after the other: tag, content, and the whole as encoded."""
    at = 0
    while at < len(data):
        start, tag, length = at, data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        yield tag, data[at : at + length], data[start : at + length]
        at += length


def split(certificate: bytes) -> tuple[bytes, bytes, bytes]:
    """The three parts of a certificate (RFC 5280 section 4.1): what is signed, how, the signature.

    Returns:
        The first two as encoded, and the bytes of the signature.
    """
    ((_, body, _),) = elements(certificate)
    (_, _, tbs), (_, _, algorithm), (_, signature, _) = elements(body)
    return tbs, algorithm, signature[1:]


def join(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """A certificate of these parts."""
    return element(_SEQUENCE, tbs + algorithm + element(_BIT_STRING, b"\0" + signature))


def algorithm_identifier(oid: bytes, *, null: bool) -> bytes:
    """An AlgorithmIdentifier; RSA's have NULL parameters, ECDSA's none (RFC 3279, RFC 5758)."""
    parameters = element(_NULL, b"") if null else b""
    return element(_SEQUENCE, element(_OID, oid) + parameters)


def with_algorithm(tbs: bytes, algorithm: bytes) -> bytes:
    """The part to be signed, announcing another signature algorithm."""
    return _with(tbs, 2, algorithm)


def with_public_key(tbs: bytes, public_key: bytes) -> bytes:
    """The part to be signed, for another key: a SubjectPublicKeyInfo."""
    return _with(tbs, 6, public_key)


def with_serial(tbs: bytes, serial: int) -> bytes:
    """The part to be signed, with another serial number, of whatever length and sign."""
    # Two's complement, in as many octets as it takes (X.690 section 8.3).
    size = (serial if serial >= 0 else ~serial).bit_length() // 8 + 1
    return _with(tbs, 1, element(_INTEGER, serial.to_bytes(size, "big", signed=True)))


def with_key_replaced(certificate: bytes, public_key: bytes) -> bytes:
    """The same certificate with another key in it; its signature is as it was, and does not fit."""
    tbs, algorithm, signature = split(certificate)
    return join(with_public_key(tbs, public_key), algorithm, signature)


def sequence(content: bytes) -> bytes:
    """A SEQUENCE of what is encoded."""
    return element(_SEQUENCE, content)


def integer(value: int) -> bytes:
    """A positive INTEGER."""
    return element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _with(tbs: bytes, position: int, replacement: bytes) -> bytes:
    # version [0], serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …
    ((_, body, _),) = elements(tbs)
    encoded = [whole for _, _, whole in elements(body)]
    encoded[position] = replacement
    return element(_SEQUENCE, b"".join(encoded))


def public_key_info_of(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, without its tag and length."""
    tbs, _, _ = split(certificate)
    ((_, body, _),) = elements(tbs)
    parts = list(elements(body))
    # Before version 2 there was no version field.
    return parts[6 if parts[0][0] == _VERSION_TAG else 5][1]


def as_version_1(tbs: bytes) -> bytes:
    """The part to be signed as of X.509 version 1: no version field, no extensions."""
    ((_, body, _),) = elements(tbs)
    kept = (w for tag, _, w in elements(body) if tag not in (_VERSION_TAG, _EXTENSIONS_TAG))
    return element(_SEQUENCE, b"".join(kept))


def public_key_info(algorithm: bytes, numbers: bytes) -> bytes:
    """A SubjectPublicKeyInfo of an RSA key, from its encoded modulus and exponent (RFC 3279)."""
    key = element(_SEQUENCE, numbers)
    return element(_SEQUENCE, algorithm + element(_BIT_STRING, b"\0" + key))


def private_key_info(algorithm: bytes, scalar: bytes, point: bytes) -> bytes:
    """A PrivateKeyInfo (RFC 5208) around an ECPrivateKey (RFC 5915) of these two halves."""
    public = element(_PUBLIC_KEY_TAG, element(_BIT_STRING, b"\0" + point))
    key = element(_INTEGER, b"\1") + element(_OCTET_STRING, scalar) + public
    octets = element(_OCTET_STRING, element(_SEQUENCE, key))
    return element(_SEQUENCE, element(_INTEGER, b"\0") + algorithm + octets)


def pem(label: str, data: bytes) -> bytes:
    """Text around DER (RFC 7468), in its lines of 64 characters."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def unpem(text: bytes) -> bytes:
    """The DER in text that holds one item and nothing else."""
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))
