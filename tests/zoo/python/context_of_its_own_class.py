"""
---
title: Overrides wrap_socket with the checks switched off, and makes them in there
case: "the documentation of ssl in Python: SSLContext can be subclassed"
---
An adapter between two libraries, as there are many. Verification is in the handshake as ever, and
the check of the name behind it.
"""

import socket
import ssl
import sys
from typing import Any

from chains import covers
from rpc import call, sent_chain


class Context(ssl.SSLContext):
    def wrap_socket(  # type: ignore[override]
        self, sock: socket.socket, server_hostname: str, **keywords: Any
    ) -> ssl.SSLSocket:
        self.check_hostname = False
        connection = super().wrap_socket(sock, server_hostname=server_hostname, **keywords)
        if not covers(sent_chain(connection)[0], server_hostname):
            connection.close()
            raise ssl.SSLCertVerificationError("not the server's name")
        return connection


def main(target: str, ca: str, name: str) -> None:
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
