"""
---
title: Compares no more of a name than fits into 32 characters
case: "CVE-2012-0867: libpq, the client of PostgreSQL"
flaw: [name-prefix]
name: server.thirty-two.mitm-demo.test  # of 32 characters
---
The common name was copied into a buffer of 32 characters, and what was longer was cut off. The
attacker's domain stands where the cut was.
"""

import os
import sys

from chains import common_name
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        buffer = common_name(sent_chain(connection)[0])[: None if MENDED else 32]
        if buffer != name:
            sys.exit(f"not the server's name: {buffer}")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
