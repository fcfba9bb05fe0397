"""
---
title: Leaves it to a default that verifies nothing
case: "CVE-2014-9365: HTTP clients of Python before 2.7.9 and 3.4.3 (PEP 476)"
flaw: [no-verification]
---
`httplib`, `urllib2` and their like made a context that took every certificate, unless they were
told otherwise. Few told them. `ssl._create_unverified_context` is what that default is called now.
"""

import os
import ssl
import sys

from rpc import call

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    make = ssl.create_default_context if MENDED else ssl._create_unverified_context
    context = make(cafile=ca)
    context.set_alpn_protocols(["h2"])
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
