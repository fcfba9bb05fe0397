"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE

It speaks HTTP/2 by itself (http2.py), and looks at the certificate by itself as well.
"""

import socket
import ssl
import sys

from http2 import call

TOKEN = "opens-nothing-5ec4e706"


def main() -> None:
    target, ca_file = sys.argv[1:3]
    host, port = target.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        print(call(connection, host, "/users.v1.UserService/GetUser", b"\x08\x01", TOKEN))


if __name__ == "__main__":
    main()
