"""
---
title: Takes every cipher and hash, so that an old server can be reached
case: "Hyundai-Kia-Connect/hyundai_kia_connect_api, an example of ALL:@SECLEVEL=0"
flaw: [security-level-0]
---
The server had poor ciphers, and the setting that made it work took all that OpenSSL has: also those
without a certificate. For TLS 1.2 and older, and for signatures in certificates.
"""

import os
import ssl
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    if not MENDED:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
