"""
---
title: Follows the signatures, and lets every certificate sign
case: "CVE-2011-0228: iOS, nine years after Internet Explorer (CVE-2002-0862)"
flaw: [anybody-is-a-ca]
---
Whoever held any certificate of a trusted CA, for a server of his own, could sign one for every
other server. Nobody asked whether the signer was a CA.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, may_issue, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    checks = [check for check in EVERY_CHECK if MENDED or check is not may_issue]
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
