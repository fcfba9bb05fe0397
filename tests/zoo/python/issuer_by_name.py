"""
---
title: Takes a certificate for a CA's because it names the CA
case: "jdx/sigstore-verification pull request 41: a simplified check of the issuer"
flaw: [issuer-by-name]
---
Names and prefixes of the CAs that are expected were compared with the issuer in the certificate,
and that stood for a path to them. A name is a label that anybody can write.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        known = [anchor.subject for anchor in anchors(ca)]
        path = path_to(sent, anchors(ca)) if MENDED else sent[:1]
        if not path or path[0].issuer not in known:
            sys.exit(f"issued by {sent[0].issuer.rfc4514_string()}")
        if not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("not a certificate for this server")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
