"""
---
title: Keeps a connection for each host, and with it that its name was checked
case: "CVE-2013-2037: httplib2, and its dictionary of connections"
flaw: [verified-once]
---
`Http.connections` outlives the connection in it. When the next request had to connect again, the
object was there already, and the check had been made by it.
"""

import os
import ssl
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ

CONNECTIONS: dict[str, ssl.SSLContext] = {}


def main(target: str, ca: str, name: str) -> None:
    if target not in CONNECTIONS or MENDED:
        CONNECTIONS[target] = verifying(ca)
    call(target, CONNECTIONS[target], name)
    CONNECTIONS[target].check_hostname = False


if __name__ == "__main__":
    main(*sys.argv[1:])
