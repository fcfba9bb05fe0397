"""
---
title: Has OpenSSL verify nothing, and verifies the chain itself before it speaks
case: "the documentation of cryptography: X.509 verification"
---
Looks like the worst of them. But the library's verifier is asked about name, path and dates, with
the CA that was given and no other, and whatever it raises ends the program.
"""

import ipaddress
import sys

from chains import anchors
from cryptography.x509 import DNSName, IPAddress
from cryptography.x509.verification import PolicyBuilder, Store
from rpc import ask, connected, sent_chain, unverifying


def main(target: str, ca: str, name: str) -> None:
    try:
        subject: DNSName | IPAddress = IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = DNSName(name)
    verifier = PolicyBuilder().store(Store(anchors(ca))).build_server_verifier(subject)
    with connected(target, unverifying(), name) as connection:
        leaf, *others = sent_chain(connection)
        verifier.verify(leaf, others)
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
