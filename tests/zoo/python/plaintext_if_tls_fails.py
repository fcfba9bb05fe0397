"""
---
title: Does without TLS if TLS fails
case: "the documentation of libpq: sslmode prefer, which is the default"
flaw: [fallback-plaintext]
---
First an SSL connection is tried; if that fails, one without. That it fails is for the one on the
way to decide.
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
