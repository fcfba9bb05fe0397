"""
---
title: Takes a star wherever it stands in a name
case: "CVE-2013-7440: ssl.match_hostname of Python"
flaw: [star-anywhere]
name: server.mitm-demo.test  # its domain is one label, which a star can stand for
---
Each `*` of the certificate's name became `[^.]+` of a regular expression, in whichever label, and
beside whichever letters.
"""

import os
import re
import sys

from chains import covers, dns_names
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        patterns = [re.escape(n).replace(r"\*", "[^.]+") for n in dns_names(leaf)]
        matches = any(re.fullmatch(pattern, name) for pattern in patterns)
        if not (covers(leaf, name) if MENDED else matches):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
