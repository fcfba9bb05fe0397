"""
---
title: Walks the chain itself, and checks what comes to mind
case: "agentrust-io/agent-manifest pull request 445"
flaw: [anybody-is-a-ca, any-purpose, no-name-constraints, critical-ignored]
---
What was checked was what came to mind: that each certificate had signed the next, that the last was
the root that was pinned, that none had expired. What a certificate may do stands in its extensions.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, has_the_name, in_time, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    checks = EVERY_CHECK if MENDED else (has_the_name, in_time)
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
