"""
---
title: Makes a context without a word, which is one that verifies nothing
case: "CVE-2023-39441: the SMTP and IMAP providers of Apache Airflow"
flaw: [no-verification]
---
The library was given no context, and made itself one. In the mail modules of Python that is one for
everything, and it takes every certificate.
"""

import asyncio
import os
import ssl
import sys

from rpc import call_grpclib, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca) if MENDED else ssl._create_stdlib_context()  # type: ignore[attr-defined]
    context.set_alpn_protocols(["h2"])
    asyncio.run(call_grpclib(target, context, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
