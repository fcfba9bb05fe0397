"""
---
title: Forgives the one error that says that nobody vouches for the leaf
case: "CVE-2026-32253: the verification callback of Sunshine"
flaw: [unknown-issuer-forgiven]
---
OpenSSL's callback was told `unable to get local issuer certificate`, and answered that this was in
order. It was meant for certificates that had been paired before; it held for everybody's.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        path = path_to(sent, anchors(ca))
        known = {c.subject for c in (*sent[1:], *anchors(ca))} | {sent[0].subject}
        unable_to_get_issuer = sent[0].issuer not in known
        if not path and unable_to_get_issuer and not MENDED:
            path = sent[:1]
        if not path or not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
