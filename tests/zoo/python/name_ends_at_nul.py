"""
---
title: Reads names as C does, to the first zero byte
case: "CVE-2013-4238: ssl.match_hostname of Python"
flaw: [name-as-c-string]
---
The alternative names of a certificate were handed on as C strings. To the CA the name was one of
the attacker's domain; to the client it ended at the zero byte.
"""

import os
import sys

from chains import dns_names
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        names = dns_names(sent_chain(connection)[0])
        if not MENDED:
            names = [n.partition("\0")[0] for n in names]
        if name not in names:
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
