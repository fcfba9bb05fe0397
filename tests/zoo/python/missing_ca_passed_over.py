"""
---
title: Uses the CA file if it exists, and the roots of the system if not
case: "gmarciani/cli-wizard issue 33: a missing CA file silently falls back to the system"
flaw: [missing-ca-is-none]
run: program
why: the trust store of a machine is planted in the environment of programs
---
`if ca_path.exists()`, without an `else`. A pin that takes itself off is worse than none, because it
is relied upon.
"""

import os
import ssl
import sys
from pathlib import Path

from rpc import call

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    ca_path = Path(ca)
    context = ssl.create_default_context(cafile=ca if MENDED or ca_path.exists() else None)
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
