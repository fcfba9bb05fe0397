"""
---
title: Verifies on a connection of its own, and talks on another
case: "CVE-2013-6418: PyWBEM"
flaw: [second-connection]
---
The library that made the calls could not verify. So a connection was made before that, verified and
closed. What was verified is not what is talked to.
"""

import os
import sys

from rpc import call, connected, unverifying, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    with connected(target, verifying(ca), name):
        pass
    call(target, verifying(ca) if MENDED else unverifying(), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
