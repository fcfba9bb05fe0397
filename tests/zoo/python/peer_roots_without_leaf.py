"""
---
title: Takes the last certificate that the server sends for a root
case: "CVE-2019-14823: JSS, with the policy to check the leaf and its chain"
flaw: [sent-root-trusted]
---
A path was built from the leaf to a root among what was sent, and each step of it verified. That the
root was one of those in the store was not asked.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        sent = sent_chain(connection)
        path = path_to(sent, anchors(ca) if MENDED else sent[1:])
        if not path or not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("no path to a root")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
