"""
---
title: Checks the name when it connects, and not when it connects again
case: "CVE-2013-2037: httplib2"
flaw: [name-at-first-only]
---
The check of the name stood behind the first `connect`. A connection that was lost was made again by
the library underneath, without it.
"""

import os
import sys

from rpc import call, verifying

MENDED = "MENDED" in os.environ


class Connection:
    def __init__(self, target: str, ca: str, name: str) -> None:
        self.target, self.name = target, name
        self.context = verifying(ca)

    def request(self) -> None:
        call(self.target, self.context, self.name)
        if not MENDED:
            # It was the right server.
            self.context.check_hostname = False


def main(target: str, ca: str, name: str) -> None:
    connection = Connection(target, ca, name)
    for _ in range(2):
        connection.request()


if __name__ == "__main__":
    main(*sys.argv[1:])
