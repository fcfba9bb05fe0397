"""
---
title: Switches the host name check off, and makes it itself before it speaks
case: "the documentation of Python's ssl: with check_hostname off, the application must check"
---
What looks like a hole is none: the names are those of the subject alternative name, compared as
RFC 9525 section 6 says, and compared before the first byte.
"""

import sys

from chains import covers
from rpc import ask, connected, sent_chain, verifying


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        if not covers(sent_chain(connection)[0], name):
            sys.exit("not the server's certificate")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
