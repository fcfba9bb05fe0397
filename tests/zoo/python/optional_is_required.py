"""
---
title: Says CERT_OPTIONAL
case: "the documentation of ssl in Python: for clients, CERT_OPTIONAL is CERT_REQUIRED"
---
A server always shows a certificate, and one that does not verify ends the handshake with either
setting.
"""

import asyncio
import ssl
import sys

from rpc import call_grpclib, verifying


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    asyncio.run(call_grpclib(target, context, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
