"""
---
title: Reads neither basic constraints nor name constraints
case: "CVE-2014-0363: Smack, the XMPP library"
flaw: [anybody-is-a-ca, no-name-constraints]
---
Its trust manager of its own verified signatures, dates and names. Intermediates that could sign for
one domain could sign for all, and so could servers.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, may_issue, path_to, within_its_names
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    left_out = () if MENDED else (may_issue, within_its_names)
    checks = [check for check in EVERY_CHECK if check not in left_out]
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
