"""
---
title: Walks the chain itself, and makes every check on the way
case: "RFC 5280 section 6.1, done by hand"
---
What the careless ones leave out, this one does. It is the proof that those are caught for what they
leave out, and not for walking the chain.
"""

import sys

from chains import EVERY_CHECK, anchors, path_to
from rpc import ask, connected, sent_chain, unverifying


def main(target: str, ca: str, name: str) -> None:
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in EVERY_CHECK):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
