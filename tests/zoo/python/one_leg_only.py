"""
---
title: Verifies the service, and not who issues its tokens
case: "CVE-2022-31105: Argo CD, towards OIDC providers"
flaw: [first-leg-unverified]
---
Tokens were asked for, and the keys to check them with, over connections that took every
certificate. The connection for which the tokens were was sound.
"""

import os
import sys

from rpc import call, connected, unverifying, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca) if MENDED else unverifying()
    context.set_alpn_protocols(["http/1.1"])
    with connected(target, context, name) as provider:
        request = f"GET /.well-known/openid-configuration HTTP/1.1\r\nhost: {name}\r\n\r\n"
        provider.sendall(request.encode())
        if not provider.recv(65536).startswith(b"HTTP/1.1 200"):
            sys.exit("no provider")
    call(target, verifying(ca), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
