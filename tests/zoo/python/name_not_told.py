"""
---
title: Connects without saying to whom, and compares the name afterwards
case: "the documentation of urllib3 1.x: SNIMissingWarning"
flaw: [no-sni]
---
The TLS library was not told the name, so that it could neither say it nor check it. The check was
made up for; but a server of several names shows the certificate for strangers.
"""

import os
import socket
import sys

from chains import covers
from rpc import address, ask, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with (
        socket.create_connection(address(target), 10) as plain,
        context.wrap_socket(plain, server_hostname=name if MENDED else None) as connection,
    ):
        if not covers(sent_chain(connection)[0], name):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
