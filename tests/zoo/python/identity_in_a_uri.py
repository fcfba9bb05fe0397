"""
---
title: Compares no host name where the certificate holds an identity of SPIFFE
case: "the documentation of SPIFFE: X.509-SVID section 4.1, beside servers that have none"
---
A workload is known by the one URI in its certificate, and that is compared as a whole. Where there
is none, the host name counts.
"""

import sys

from chains import covers, extension
from cryptography.x509 import SubjectAlternativeName, UniformResourceIdentifier
from rpc import ask, connected, sent_chain, verifying

EXPECTED = ["spiffe://lab.mitm-demo.test/server"]


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        names = extension(leaf, SubjectAlternativeName)
        identities = names.get_values_for_type(UniformResourceIdentifier) if names else []
        if not (identities == EXPECTED if identities else covers(leaf, name)):
            sys.exit("not the workload")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
