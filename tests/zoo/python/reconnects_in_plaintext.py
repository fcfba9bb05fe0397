"""
---
title: Forgets its TLS when it connects again
case: "project-receptor/python-receptor pull request 102: keep the ssl context on reconnect"
flaw: [reconnect-plaintext]
---
The context was an argument of the first `connect`, and none of the one that was called when the
connection was lost. With a server that insists on TLS it shows; with an attacker it does not.
"""

import contextlib
import os
import socket
import sys

from rpc import Http2, address, ask, call, connected, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    calls = 2
    with connected(target, verifying(ca), name) as connection, contextlib.suppress(OSError):
        http2 = Http2(connection)
        while calls:
            http2.ask()
            calls -= 1
    while calls:
        if MENDED:
            call(target, verifying(ca), name)
        else:
            with socket.create_connection(address(target), 10) as plain:
                ask(plain)
        calls -= 1


if __name__ == "__main__":
    main(*sys.argv[1:])
