"""
---
title: Looks for the host at the end of the name, whatever stands before it
case: "CVE-2012-3446: Apache Libcloud"
flaw: [name-suffix]
---
The host name was made a regular expression that was not anchored at its beginning. A certificate
for `aexample.com` was one for `example.com`.
"""

import os
import re
import sys

from chains import dns_names
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        pattern = re.compile(("^" if MENDED else "") + re.escape(name) + "$")
        if not any(map(pattern.search, dns_names(sent_chain(connection)[0]))):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
