"""TLS of Python, as a client: client.py PORT CA [CERT KEY]. It says on stderr why it failed."""

import socket
import ssl
import sys

port, ca, *identity = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if identity:
    context.load_cert_chain(*identity)
try:
    with (
        socket.create_connection(("localhost", int(port)), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secure,
    ):
        secure.recv(1)
        secure.recv(1)
except OSError as error:
    print(f"{type(error).__module__}.{type(error).__name__}: {error}", file=sys.stderr)
