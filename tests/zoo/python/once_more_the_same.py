"""
---
title: Catches the error of verification, and tries once more, with verification
case: "the documentation of urllib3: Retry"
---
A certificate may have been renewed in this second. The second time is like the first, and what it
raises is raised.
"""

import ssl
import sys

from rpc import call, verifying


def main(target: str, ca: str, name: str) -> None:
    try:
        call(target, verifying(ca), name)
    except ssl.SSLCertVerificationError:
        call(target, verifying(ca), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
