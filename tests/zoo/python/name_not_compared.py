"""
---
title: Verifies the chain, and never asks whose certificate it is
case: "CVE-2013-1909: the Python client of Apache Qpid"
flaw: [no-name-check]
---
`ssl.wrap_socket` was given the CA and `CERT_REQUIRED`, and that was that: nobody compared the host
name with the subject of the certificate. Any certificate of the same CA would do.
"""

import os
import ssl
import sys

from rpc import call

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = MENDED
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
