"""
---
title: Hands an option "verify" on as an option "skip verification"
case: "CVE-2025-66491: Traefik, the annotation proxy-ssl-verify"
flaw: [no-verification]
---
`proxy-ssl-verify: "on"` became `InsecureSkipVerify: true`, one negation short. Whoever asked for
verification was the one who went without.
"""

import asyncio
import os
import ssl
import sys

from rpc import call_grpclib, verifying

MENDED = "MENDED" in os.environ

PROXY_SSL_VERIFY = "on"


def main(target: str, ca: str, name: str) -> None:
    verify = PROXY_SSL_VERIFY == "on"
    insecure_skip_verify = not verify if MENDED else verify
    context = verifying(ca)
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    asyncio.run(call_grpclib(target, context, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
