"""
---
title: Has a switch against verification in the environment, and it is set
case: "PEP 493: PYTHONHTTPSVERIFY"
flaw: [no-verification]
environment: {PYTHONHTTPSVERIFY: "0"}
---
Meant for a while, for administrators, and set in a unit file or an image years ago. Nothing in the
program says that it does not verify.
"""

import os
import ssl
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    if os.environ.get("PYTHONHTTPSVERIFY") == "0" and not MENDED:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
