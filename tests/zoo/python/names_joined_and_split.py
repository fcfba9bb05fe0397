"""
---
title: Makes a text of the alternative names, and splits it again
case: "CVE-2021-44532: Node.js"
flaw: [names-as-text]
---
The names were joined with `, `, each with its kind before it, and what was checked were the pieces
between the commas. A comma in a name makes two of it.
"""

import os
import sys

from chains import dns_names
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        names = [f"DNS:{n}" for n in dns_names(sent_chain(connection)[0])]
        if not MENDED:
            names = ", ".join(names).split(", ")
        if f"DNS:{name}" not in names:
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
