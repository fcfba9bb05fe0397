"""
---
title: Resumes the session of its last connection, and sees no certificate then
case: "RFC 8446 section 2.2: resumption rests on the certificate of the first handshake"
---
The second handshake verifies nothing, because it need not: who knows the secret of the first is the
server, or has stolen its keys.
"""

import socket
import sys

from rpc import address, ask, connected, verifying


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    with connected(target, context, name) as connection:
        ask(connection)
        session = connection.session
    with (
        socket.create_connection(address(target), 10) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as connection,
    ):
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
