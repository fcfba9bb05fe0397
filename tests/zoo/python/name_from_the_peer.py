"""
---
title: Asks the server who it is, and verifies that it is
case: "RUSTSEC-2023-0027: the clients of NATS in Rust"
flaw: [name-from-peer]
---
The name that the certificate had to prove was not the one that was dialled. It was what the peer
had said of itself before there was any TLS. Here it is what the peer's certificate says.
"""

import os
import sys

from chains import common_name, covers
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        if not covers(leaf, name if MENDED else common_name(leaf)):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
