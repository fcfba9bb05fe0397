"""Certificates and keys of the user's own, from PEM files as programs write them.

RFC 7468 has the form: text may stand around the blocks, lines may end in any way. Key and
certificates are presented as they were read, byte for byte. `cryptography` would write a key for
RSASSA-PSS anew as one for RSA, which does not fit its certificate any more.
"""

import base64
import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mitm.errors import UserError
from mitm.pki import der
from mitm.pki.chain import Chain

# What is told of a leaf: those of which it is remembered, and names of one.
_LEAVES_REMEMBERED = 128
_LEAF_NAMES = 100

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
# Of PEM before RFC 7468: `Proc-Type: 4,ENCRYPTED`, and an empty line (RFC 1421 section 4.6).
_HEADERS = re.compile(r"\s*(?:[\w-]+:.*\n)+\s*\n")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")

# RFC 8446 section 4.2.3 has signatures for these three; TLS 1.2 needs a client that offers the
# curve, and none does so any more by itself.
_CURVES = ("secp256r1", "secp384r1", "secp521r1")

# RSASSA-PSS with SHA-256 takes 2 octets more than hash and salt (RFC 8017 section 9.1.1).
_RSA_BITS = (2 * 32 + 2) * 8


# What `cryptography` raises of certificates that are too odd for it: by changed bytes of good ones.
_ODD = (
    *(KeyError, TypeError, ValueError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.ExtensionNotFound, x509.DuplicateExtension),
    x509.UnsupportedGeneralNameType,
)


class _Block(NamedTuple):
    """One item of a PEM file.

    Attributes:
        label: what it is by its own account.
        der: what it holds.
        encrypted: whether that takes a password to read.
    """

    label: str
    der: bytes
    encrypted: bool

    @property
    def is_key(self) -> bool:
        return self.label.endswith("PRIVATE KEY")

    @property
    def pem(self) -> bytes:
        return der.pem(self.label, self.der)


class PrivateKey(NamedTuple):
    """A private key.

    Attributes:
        pem: as it was read.
        key: the same for `cryptography`; None if that does not know its kind.
    """

    pem: bytes
    key: object | None

    @property
    def public(self) -> bytes | None:
        """Its public half, see `public_key`; None if the kind is not known."""
        return _public_bytes(self.key.public_key()) if hasattr(self.key, "public_key") else None


def chain_from_files(cert: Path, key: Path) -> Chain:
    """Read a chain of the user's own.

    Args:
        cert: PEM file, leaf first.
        key: PEM file with the leaf's private key, among others maybe.

    Raises:
        UserError: a file is missing or not PEM, the key is encrypted, does not fit, or is of a kind
            that no TLS client takes.
    """
    certificates = certificates_from_file(cert)
    fitting = key_for(certificates, cert, key)
    if reason := _useless(fitting.key):
        raise UserError(f"certificate {str(cert)!r} cannot be presented: {reason}")
    return Chain(
        name=cert.name,
        certificates=certificates,
        key_pem=fitting.pem,
        anchor_pem=b"",
        subjects=tuple(name_in(c, "subject") for c in certificates),
        issuer=name_in(certificates[0], "issuer"),
    )


def certificates_from_file(path: Path) -> tuple[bytes, ...]:
    """The certificates of a PEM file, DER, in its order.

    Raises:
        UserError: it cannot be read, or holds none.
    """
    blocks = _blocks(path, "certificate", "x509")
    found = tuple(block.der for block in blocks if block.label in _CERTIFICATES)
    if not found:
        raise UserError(f"{path} holds no PEM certificate, only {_labels(blocks)}")
    return found


def key_for(certificates: Sequence[bytes], cert: Path, path: Path) -> PrivateKey:
    """The private key of the first of these certificates.

    Args:
        certificates: DER.
        cert: the file that they are from.
        path: PEM file with the key.

    Raises:
        UserError: it cannot be read, holds no key, or none that fits.
    """
    keys = keys_from_file(path)
    wanted = public_key(certificates[0])
    for key in keys:
        # Of a kind that is not known here, OpenSSL will say whether it fits.
        if wanted is None or key.public in (None, wanted):
            return key
    publics = {key.public for key in keys}
    for number, certificate in enumerate(certificates[1:], start=2):
        if public_key(certificate) in publics:
            raise UserError(
                f"{cert} begins with another certificate than the leaf: the key {path} belongs to "
                f"number {number} in it; put that first, and what signed it behind"
            )
    raise UserError(f"the key {path} does not fit the certificate {cert}")


def keys_from_file(path: Path) -> list[PrivateKey]:
    """The private keys of a PEM file.

    Raises:
        UserError: it cannot be read, or holds none that can be read without a password.
    """
    blocks = _blocks(path, "private key", "pkey")
    found = [block for block in blocks if block.is_key]
    if not found:
        raise UserError(f"{path} holds no PEM private key, only {_labels(blocks)}")
    if all(block.encrypted for block in found):
        raise UserError(
            f"the key {path} is encrypted: take its password off: openssl pkey -in {path} "
            "-out plain.key"
        )
    return [_loaded(block) for block in found if not block.encrypted]


def parsed(certificate: bytes) -> x509.Certificate | None:
    """A certificate for `cryptography`; None if it is too odd for that.

    What it thinks of oddities such as a negative serial number is nobody's business here.
    """
    with _whatever_it_holds():
        return x509.load_der_x509_certificate(certificate)
    return None


@contextlib.contextmanager
def _whatever_it_holds() -> Iterator[None]:
    """Read a stranger's certificate as far as `cryptography` can, without a word of its own."""
    with warnings.catch_warnings(), contextlib.suppress(*_ODD):
        warnings.simplefilter("ignore")
        yield


def name_in(certificate: bytes, which: Literal["subject", "issuer"]) -> str:
    """A name out of a certificate, DER, in RFC 4514 form; what is wrong with it may hide that."""
    found = parsed(certificate)
    with _whatever_it_holds():
        if found is not None:
            return (found.subject if which == "subject" else found.issuer).rfc4514_string()
    return f"({which} that cannot be read)"


def names_in(certificate: bytes) -> tuple[str, ...]:
    """The DNS names and URIs of a certificate, DER; () if they cannot be read."""
    found = parsed(certificate)
    kinds = (x509.DNSName, x509.UniformResourceIdentifier)
    with _whatever_it_holds():
        if found is not None:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            return tuple(name.value for name in names if isinstance(name, kinds))
    return ()


class Leaf(NamedTuple):
    """What a leaf says of itself, as far as it can be read.

    Attributes:
        names: the DNS names, IP addresses and URIs in its subjectAltName, the first hundred.
        not_before, not_after: its validity period, as of RFC 3339; "" if it cannot be read.
    """

    names: tuple[str, ...] = ()
    not_before: str = ""
    not_after: str = ""


# The same few are told of again and again.
@lru_cache(_LEAVES_REMEMBERED)
def leaf_in(certificate: bytes) -> Leaf:
    """What a leaf, DER, says of itself."""
    leaf = Leaf()
    found = parsed(certificate)
    if found is None:
        return leaf
    with _whatever_it_holds():
        begin, end = found.not_valid_before_utc, found.not_valid_after_utc
        leaf = Leaf((), begin.isoformat(), end.isoformat())
    with _whatever_it_holds():
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
        told = (str(name.value) for name in names if isinstance(name, kinds))
        leaf = leaf._replace(names=tuple(islice(told, _LEAF_NAMES)))
    return leaf


def public_key(certificate: bytes) -> bytes | None:
    """The public key in a certificate, as a SubjectPublicKeyInfo; None if it cannot be read."""
    found = parsed(certificate)
    try:
        return _public_bytes(found.public_key()) if found else None
    except (ValueError, UnsupportedAlgorithm):
        return None


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _loaded(block: _Block) -> PrivateKey:
    try:
        key = load_pem_private_key(block.pem, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, UnsupportedAlgorithm):
        return PrivateKey(block.pem, None)
    return PrivateKey(block.pem, key)


def _useless(key: object | None) -> str:
    """Why no TLS client takes a certificate for this key; "" if some do."""
    match key:
        case dsa.DSAPrivateKey():
            return "it has a DSA key, and no TLS client takes those any more"
        case ec.EllipticCurvePrivateKey() if key.curve.name not in _CURVES:
            return (
                f"it has a key on the curve {key.curve.name}, and TLS clients take those on "
                "P-256, P-384 and P-521"
            )
        case x25519.X25519PrivateKey() | x448.X448PrivateKey():
            return "it has a key that agrees on secrets and cannot sign"
        case rsa.RSAPrivateKey() if key.key_size < _RSA_BITS:
            return f"it has an RSA key of {key.key_size} bits, too short for a signature in TLS 1.3"
    return ""


def _blocks(path: Path, what: str, command: str) -> list[_Block]:
    """All items of a PEM file.

    Args:
        what: is looked for, in the words of an error.
        command: of openssl, that makes PEM of the same in DER.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    # What Windows' shells write into a file. Latin-1 has a character for each byte.
    encoding = "utf-16" if data.startswith(_UTF_16) else "latin-1"
    text = data.decode(encoding, "replace")
    blocks = []
    for number, found in enumerate(_BLOCK.finditer(text), start=1):
        label, body = found[1], found[2].replace("\r", "\n")
        headers = _HEADERS.match(body)
        body = body[headers.end() :] if headers else body
        try:
            decoded = base64.b64decode("".join(body.split()), validate=True)
        except ValueError:
            raise UserError(f"{path}: item {number}, {label}, is damaged: not base64") from None
        encrypted = "ENCRYPTED" in (label + (headers[0] if headers else ""))
        blocks.append(_Block(label, decoded, encrypted))
    if not blocks:
        raise UserError(f"{path} holds no PEM {what}{_instead(data, path, command)}")
    return blocks


def _instead(data: bytes, path: Path, command: str) -> str:
    """What a file holds that is not PEM, and what to do about it."""
    if b"-----BEGIN " in data:
        return ": an item begins in it that does not end"
    if not data.strip():
        return ": it is empty"
    try:
        ((_, body, whole),) = der.elements(data)
        version = next(der.elements(body))[2]
    except (IndexError, ValueError, StopIteration):
        return ""
    if whole != data or data[:1] != b"\x30":
        return ""
    # PFX ::= SEQUENCE { version INTEGER {v3(3)}, … } (RFC 7292 section 4)
    if version == b"\x02\x01\x03":
        return (
            f": it is PKCS #12; write it as PEM: openssl pkcs12 -in {path} -nodes -out own.pem, "
            "which then holds certificates and key"
        )
    return f": it is DER; write it as PEM: openssl {command} -inform DER -in {path} -out own.pem"


def _labels(blocks: Sequence[_Block]) -> str:
    return " and ".join(dict.fromkeys(block.label for block in blocks))
