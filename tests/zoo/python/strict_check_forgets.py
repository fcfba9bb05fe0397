"""
---
title: Overwrites what one check has found with what the next one finds
case: "CVE-2021-3450: OpenSSL with X509_V_FLAG_X509_STRICT"
flaw: [result-overwritten]
---
Each issuer was checked to be a CA. With the flag for stricter checks another check followed, whose
result took the place of the first.
"""

import os
import sys

from chains import EVERY_CHECK, Chain, anchors, is_ca, may_issue, path_to
from cryptography.x509 import Version
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def strictly(path: Chain, name: str) -> bool:
    for below, issuer in enumerate(path[1:]):
        ok = is_ca(issuer, below)
        # Strict: it is of version 3, in which there are extensions.
        strict = issuer.version is Version.v3
        ok = ok and strict if MENDED else strict
        if not ok:
            return False
    return True


def main(target: str, ca: str, name: str) -> None:
    checks = [strictly if check is may_issue else check for check in EVERY_CHECK]
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
