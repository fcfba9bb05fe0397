"""The file that tells a client whom to trust, as it is where something went wrong with it."""

import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mitm.pki.authority import WARNING
from mitm.pki.files import write_private

Fault = Literal[
    "missing",
    "empty",
    "garbage",
    "directory",
    "private-key",
    "unreadable",
    "expired",
    "another",
    "crlf",
    "der",
]

# What a download ends with where the address has gone.
_GARBAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"

_DAY = timedelta(days=1)


def write_faulty(path: Path, pem: bytes, fault: Fault) -> None:
    """Put something else where a client is told to find a certificate.

    Args:
        path: what the client is told.
        pem: the certificates that should be there.
        fault: what is wrong. `crlf` and `der` are the right ones, written in another way.
    """
    match fault:
        case "missing":
            return
        case "directory":
            path.mkdir(mode=0o700)
        case "unreadable":
            write_private(path, pem)
            path.chmod(0)
        case _:
            write_private(path, _content(pem, fault))


def reads_everything() -> bool:
    """Whether a file that nobody may read is read all the same: by root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _content(pem: bytes, fault: Fault) -> bytes:
    match fault:
        case "garbage":
            return _GARBAGE
        case "private-key":
            key = ec.generate_private_key(ec.SECP256R1())
            return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        case "expired":
            return _strange_ca(datetime.now(UTC) - _DAY)
        case "another":
            return _strange_ca(datetime.now(UTC) + _DAY)
        case "crlf":
            return pem.replace(b"\n", b"\r\n")
        case "der":
            body = pem.partition(b"-----BEGIN CERTIFICATE-----")[2]
            return base64.b64decode(body.partition(b"-----END")[0])
    return b""


def _strange_ca(until: datetime) -> bytes:
    """A CA that has signed nothing, and whose key is gone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(f"CN=Another CA,O=mitm-demo: {WARNING}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 8 * _DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)
