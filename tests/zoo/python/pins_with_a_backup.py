"""
---
title: Verifies nothing but the key of the server, which is one of two that it knows
case: "RFC 7469 section 2.4: pins, and one in reserve"
arguments: ["{target}", "{pin}", "{name}"]
---
No CA, no name, no dates: the key itself is known, and so is the one that will be next. The pin
is of the whole public key.
"""

import sys
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rpc import ask, connected, sent_chain, unverifying


def pin(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def main(target: str, known: str, name: str) -> None:
    backup = sha256(b"the key in the safe").digest()
    pins = {pin(x509.load_pem_x509_certificate(Path(known).read_bytes())), backup}
    with connected(target, unverifying(), name) as connection:
        if pin(sent_chain(connection)[0]) not in pins:
            sys.exit("not the key of the server")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
