"""
---
title: Goes on in plaintext if the server does not offer TLS
case: "CVE-2016-0772: smtplib of Python, and STARTTLS stripping"
flaw: [fallback-if-not-offered]
---
`starttls` returned what the server had said, and raised nothing if that was no. A certificate that
was wrong was refused; no certificate at all was not.
"""

import os
import socket
import ssl
import sys

from rpc import address, ask, call, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    try:
        call(target, verifying(ca), name)
    except ssl.SSLError as error:
        if MENDED or error.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            raise
        with socket.create_connection(address(target), 10) as connection:
            ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
