"""
---
title: Checks the name of the server, and not that of the proxy before it
case: "CVE-2021-28363: urllib3, with HTTPS to an HTTPS proxy"
flaw: [first-leg-without-name]
---
The context for the proxy was made by the library, and verified the chain alone. What goes to the
proxy in the request is a password, too.
"""

import os
import sys

from rpc import call, connected, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = MENDED
    context.set_alpn_protocols(["http/1.1"])
    with connected(target, context, name) as proxy:
        header = "proxy-authorization: Basic em9vOnpvbw=="
        proxy.sendall(f"GET / HTTP/1.1\r\nhost: {name}\r\n{header}\r\n\r\n".encode())
        if not proxy.recv(65536).startswith(b"HTTP/1.1 200"):
            sys.exit("no proxy")
    call(target, verifying(ca), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
