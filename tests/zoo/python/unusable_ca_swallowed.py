"""
---
title: Swallows the error of a CA file, and verifies with the roots of the system
case: "CVE-2026-27586: Caddy, two errors in the set-up of client certificates"
flaw: [unusable-ca-is-none]
run: program
why: the trust store of a machine is planted in the environment of programs
---
The function that read the CAs returned an error, and its caller returned nothing. What was left was
a configuration without CAs, which means those of the system.
"""

import os
import ssl
import sys

from rpc import call

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError):
        if MENDED:
            raise
    if not MENDED and not context.get_ca_certs():
        context.load_default_certs()
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
