"""
---
title: Never looks at the clock
case: "CVE-2025-4384: the MQTT add-on of PcVue"
flaw: [no-dates]
---
It verified that the certificate came from the right CA and was for the right device, and not that
it had begun to be valid, or still was.
"""

import os
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which `ssl` has no name.
NO_CHECK_TIME = 0x200000


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    if not MENDED:
        context.verify_flags |= NO_CHECK_TIME
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
