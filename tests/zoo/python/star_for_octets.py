"""
---
title: Takes the octets of an address for labels, and a star for some of them
case: "CVE-2014-0139: curl"
flaw: [star-for-address]
---
The address that was dialled was compared with the names in the certificate as if it were one of
them: `*.0.0.1` was one for every network.
"""

import os
import sys
from fnmatch import fnmatch

from chains import covers, dns_names
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        is_address = name.replace(".", "").isdigit()
        matches = is_address and any(fnmatch(name, n) for n in dns_names(leaf))
        if not covers(leaf, name) and (MENDED or not matches):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
