"""
---
title: Fails for a CA file that it cannot use, and connects again without it
case: "eclipse-mosquitto/mosquitto issue 2130: connects without verifying, if the CA file is empty"
flaw: [unusable-ca-unverified]
---
The first attempt ended with an error, as it should. The loop that connects again found that TLS had
been set up already, and went on with what there was: a context that verifies nothing.
"""

import os
import ssl
import sys

from rpc import call, unverifying

MENDED = "MENDED" in os.environ


class Client:
    def __init__(self, ca: str) -> None:
        self.ca, self.context, self.set_up = ca, unverifying(), False

    def connect(self, target: str, name: str) -> None:
        if not self.set_up or MENDED:
            self.set_up = True
            self.context.load_verify_locations(self.ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.check_hostname = True
        call(target, self.context, name)


def main(target: str, ca: str, name: str) -> None:
    client = Client(ca)
    try:
        client.connect(target, name)
    except OSError:
        client.connect(target, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
