"""What the stacks read a machine's CAs from: PEM, OpenSSL's hashed directory, Java's key store."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mitm.pki import der
from mitm.pki.files import write_private
from mitm.pki.unsupported import Unsupported
from mitm.surroundings import TrustStore

# Of the JDK's own trust store, and so what everybody gives for one that holds nothing secret.
PASSWORD = "changeit"  # noqa: S105

# JavaKeyStore.java of OpenJDK, in sun.security.provider.
_MAGIC, _VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_WHITENER = b"Mighty Aphrodite"

# Strings that are compared without regard to case and to how many spaces there are, and how each
# is encoded (X.680 section 41): asn1_string_canon in OpenSSL's crypto/x509/x_name.c.
_STRINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_UTF8_STRING, _SEQUENCE, _SET = 0x0C, 0x30, 0x31


def write_trust_store(folder: Path, ca_pem: bytes) -> TrustStore:
    """Write what stands for a machine's trust store; nothing of the machine is touched.

    Args:
        folder: is made, with mode 0700.
        ca_pem: the CAs that the machine is to trust; none other is in it.

    Returns:
        Where the parts of it are.

    Raises:
        Unsupported: one of them is too malformed for it.
    """
    try:
        # Nothing is what a test case may want to be trusted.
        certificates = x509.load_pem_x509_certificates(ca_pem) if ca_pem.strip() else []
        java = key_store(certificates)
        hashes = [subject_hash(certificate.subject) for certificate in certificates]
    except ValueError as error:
        raise Unsupported(f"no trust store can be made of its root: {error}") from None
    store = TrustStore(folder / "roots.pem")
    folder.mkdir(mode=0o700)
    store.directory.mkdir(mode=0o700)
    write_private(store.file, ca_pem)
    write_private(store.key_store, java)
    for name, certificate in zip(hashes, certificates, strict=True):
        # c_rehash counts up those with the same name.
        number = len(list(store.directory.glob(f"{name}.*")))
        write_private(store.directory / f"{name}.{number}", certificate.public_bytes(Encoding.PEM))
    return store


def key_store(certificates: list[x509.Certificate]) -> bytes:
    """A key store of Java's own kind (JKS) that trusts these, and holds no key.

    The JDK takes PKCS #12 for a trust store only with an attribute of its own, which `cryptography`
    writes from 45 on.
    """
    entries = [struct.pack(">III", _MAGIC, _VERSION, len(certificates))]
    for number, certificate in enumerate(certificates):
        encoded = certificate.public_bytes(Encoding.DER)
        # When it was put in, in milliseconds since 1970, before which there is nothing.
        made = max(0, int(certificate.not_valid_before_utc.timestamp())) * 1000
        entries += [
            struct.pack(">I", _TRUSTED_CERTIFICATE),
            _text(f"ca{number}"),
            struct.pack(">Q", made),
            _text("X.509"),
            struct.pack(">I", len(encoded)),
            encoded,
        ]
    data = b"".join(entries)
    # It is there against accidents; the JDK knows no other digest for it.
    salted = PASSWORD.encode("utf-16-be") + _WHITENER + data
    return data + hashlib.sha1(salted, usedforsecurity=False).digest()


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")


def subject_hash(name: x509.Name) -> str:
    """The name under which OpenSSL looks for a CA in a directory: X509_NAME_hash(3)."""
    ((_, relative_names, _),) = der.elements(name.public_bytes())
    canonical = b"".join(
        der.element(_SET, b"".join(sorted(_canonical(attributes))))
        for _, attributes, _ in der.elements(relative_names)
    )
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _canonical(attributes: bytes) -> Iterator[bytes]:
    for _, attribute, _ in der.elements(attributes):
        (_, _, oid), (tag, value, whole) = der.elements(attribute)
        if tag in _STRINGS:
            text = value.decode(_STRINGS[tag]).encode()
            # ASCII alone is folded.
            whole = der.element(_UTF8_STRING, b" ".join(text.split()).lower())
        yield der.element(_SEQUENCE, oid + whole)
