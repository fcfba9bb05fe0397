"""Small surgery on certificates: what `cryptography` rightly refuses to make.

Only what that takes of DER (X.690): elements of definite length, one inside the other.
"""

from collections.abc import Iterator

_SEQUENCE, _BIT_STRING, _OID, _NULL = 0x30, 0x03, 0x06, 0x05
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
    ((_, body, _),) = elements(tbs)
    parts = list(elements(body))
    # version [0], serial number, signature, …; the version is absent in version 1.
    position = 2 if parts[0][0] == _VERSION_TAG else 1
    encoded = [whole for _, _, whole in parts]
    encoded[position] = algorithm
    return element(_SEQUENCE, b"".join(encoded))


def as_version_1(tbs: bytes) -> bytes:
    """The part to be signed as of X.509 version 1: no version field, no extensions."""
    ((_, body, _),) = elements(tbs)
    kept = (w for tag, _, w in elements(body) if tag not in (_VERSION_TAG, _EXTENSIONS_TAG))
    return element(_SEQUENCE, b"".join(kept))
