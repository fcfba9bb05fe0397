"""
---
title: Does without TLS if the connection is blocked
case: "CVE-2014-5277: docker-py, where HTTPS traffic is blocked"
flaw: [fallback-if-blocked]
---
A wrong certificate is an error. A connection that is reset is taken for a registry that speaks
HTTP, and everybody on the way can reset one.
"""

import os
import socket
import ssl
import sys

from rpc import address, ask, call, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    try:
        call(target, verifying(ca), name)
    except (ConnectionError, TimeoutError, ssl.SSLEOFError):
        if MENDED:
            raise
        with socket.create_connection(address(target), 10) as connection:
            ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
