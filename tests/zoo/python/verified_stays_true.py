"""
---
title: Remembers that one signature of the chain was right
case: "automata-network/automata-dcap-attestation pull request 141"
flaw: [stale-result]
---
The flag `verified` was set in a loop over the chain, and not taken back for the next certificate.
So one good signature, the leaf's, made up for all that did not verify above it.
"""

import os
import sys
from itertools import pairwise

from chains import EVERY_CHECK, anchors, issued
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        path = [*sent]
        if path[-1] not in anchors(ca):
            path += [a for a in anchors(ca) if a.subject == path[-1].issuer][:1]
        verified = False
        for certificate, issuer in pairwise(path):
            if MENDED:
                verified = False
            if issued(issuer, certificate):
                verified = True
            elif MENDED:
                break
        if not verified or path[-1] not in anchors(ca):
            sys.exit("not verified")
        if not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("not a certificate for this server")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
