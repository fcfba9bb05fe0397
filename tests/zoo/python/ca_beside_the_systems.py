"""
---
title: Adds its CA to those of the system
case: "CVE-2021-40830: the AWS IoT Device SDK v2 for Python, on Unix"
flaw: [system-roots-too]
run: program
why: the trust store of a machine is planted in the environment of programs
---
Who named a CA expected it to be the only one. It was appended to the roots of the machine, each of
which could vouch for the server as well.
"""

import os
import ssl
import sys

from rpc import call

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not MENDED:
        context.load_default_certs()
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
