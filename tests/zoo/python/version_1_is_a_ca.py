"""
---
title: Takes a certificate without extensions for a CA
case: "CVE-2014-1959: GnuTLS"
flaw: [version-1-is-a-ca]
---
Roots of version 1 are old, and have no basic constraints. What was meant for roots held for
intermediates, too.
"""

import os
import sys

from chains import EVERY_CHECK, Chain, anchors, is_ca, may_issue, path_to
from cryptography.x509 import Version
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def may_issue_or_is_old(path: Chain, name: str) -> bool:
    return all(is_ca(c, below) or c.version is Version.v1 for below, c in enumerate(path[1:]))


def main(target: str, ca: str, name: str) -> None:
    checks = [check for check in EVERY_CHECK if check is not may_issue]
    checks.append(may_issue if MENDED else may_issue_or_is_old)
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
