"""
---
title: Checks no name if it dials an address
case: "CVE-2024-2466: curl with mbedTLS"
flaw: [ip-not-checked]
---
With an address for a host, the function that sets the name to be checked was left out, and its
check with it.
"""

import ipaddress
import os
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = MENDED or not is_address(name)
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
