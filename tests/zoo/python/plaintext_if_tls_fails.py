"""
---
title: Does without TLS if TLS fails
case: "CVE-2014-5277: docker-py"
flaw: [fallback-plaintext]
---
A registry that was not reached by HTTPS was asked by HTTP. It is the attacker who decides what is
reached.
"""

import os
import socket
import sys

from rpc import address, ask, call, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    try:
        call(target, verifying(ca), name)
    except OSError:
        if MENDED:
            raise
        with socket.create_connection(address(target), 10) as connection:
            ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
