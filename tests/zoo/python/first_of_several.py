"""
---
title: Verifies the endpoints that it has found, and not those that it was told
case: "CVE-2020-15136: the gateway of etcd"
flaw: [second-connection]
---
Authentication was made part of the discovery of endpoints by DNS. Those that came from the option
`--endpoints` went past it.
"""

import os
import sys

from rpc import call, unverifying, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    discovered, told = [target], [target]
    endpoints = dict.fromkeys(discovered, verifying(ca))
    for endpoint in discovered:
        call(endpoint, endpoints[endpoint], name)
    for endpoint in told:
        call(endpoint, verifying(ca) if MENDED else unverifying(), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
