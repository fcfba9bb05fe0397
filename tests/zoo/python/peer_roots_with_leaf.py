"""
---
title: Verifies the chain against roots that it takes from the chain
case: "CVE-2026-40243: Incus, towards the databases of OVN"
flaw: [leaf-as-root]
---
The library's verification was replaced by a function of its own, which put what the peer had sent
into its pool of roots, and then verified it against them. The CA that was configured was parsed,
and never asked.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        roots = anchors(ca) if MENDED else sent
        path = path_to(sent, roots)
        if not path or not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("no path to a root")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
