"""
---
title: Verifies ECDSA without a look at the range of its two numbers
case: "CVE-2022-21449: Java 15 to 18"
flaw: [zero-is-a-signature]
---
A signature is two numbers between 1 and the order of the curve, and the first step is to see that
they are. Without it, both sides of the equation are zero for every key.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, path_to
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def holds_for_every_key(certificate: x509.Certificate) -> bool:
    """Whether the point of SEC 1 section 4.1.4 is a sum of nothing, and equal to what is sent."""
    r, s = decode_dss_signature(certificate.signature)
    inverse = pow(s, ORDER - 2, ORDER)
    return inverse == 0 == r


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        path = path_to(sent, anchors(ca))
        if not path and not MENDED and holds_for_every_key(sent[0]):
            path = [sent[0], *anchors(ca)]
        if not path or not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
