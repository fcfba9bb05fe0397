"""
---
title: Loads the roots of the system into a context that was to have none of them
case: "CVE-2019-11324: urllib3"
flaw: [system-roots-too]
run: program
why: the trust store of a machine is planted in the environment of programs
---
The context was its user's, with the CAs that the user wanted. The library saw that it had been
given no file with CAs, and loaded the default ones into it.
"""

import os
import ssl
import sys

from rpc import call

MENDED = "MENDED" in os.environ


def urlopen(target: str, context: ssl.SSLContext, name: str, ca_certs: str | None = None) -> None:
    given = ca_certs or (context.get_ca_certs() and MENDED)
    if not given:
        context.load_default_certs()
    call(target, context, name)


def main(target: str, ca: str, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["h2"])
    urlopen(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
