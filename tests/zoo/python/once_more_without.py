"""
---
title: Tries once more without verification, if that is what failed
case: "chalie-ai/chalie issue 1906: verify_ssl falls back to verify=False"
flaw: [fallback-unverified]
---
An `except` for the error of verification, and in it the same request with `verify=False`. It
carried the same password.
"""

import os
import ssl
import sys

from rpc import call, unverifying, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    try:
        call(target, verifying(ca), name)
    except ssl.SSLCertVerificationError:
        if MENDED:
            raise
        call(target, unverifying(), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
