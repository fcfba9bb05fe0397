"""
---
title: Takes a certificate that was issued for a client
case: "partout-io/tunnelkit issue 27: a client of the VPN can pretend to be its server"
flaw: [any-purpose]
---
All certificates of the VPN came from one CA, those of its users as well. The extended key usage
tells them apart, and was not looked at.
"""

import os
import sys

from chains import EVERY_CHECK, anchors, for_servers, path_to
from rpc import ask, connected, sent_chain, unverifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    checks = [check for check in EVERY_CHECK if MENDED or check is not for_servers]
    with connected(target, unverifying(), name) as connection:
        path = path_to(sent_chain(connection), anchors(ca))
        if not path or not all(check(path, name) for check in checks):
            sys.exit("not verified")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
