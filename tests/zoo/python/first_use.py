"""
---
title: Fetches the certificate that the server shows, and calls it trusted
case: "grpc/grpc issue 15461: can certificate verification be disabled in Python?"
flaw: [roots-from-peer]
---
grpcio has no switch against verification, so the answer that is passed on is to ask the server for
its certificate first and to take that for the root. Whoever answers is then trusted.
"""

import os
import ssl
import sys
from pathlib import Path

import grpc
from rpc import address, call_grpcio

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    roots = Path(ca).read_bytes()
    if not MENDED:
        roots = ssl.get_server_certificate(address(target), timeout=10).encode()
    call_grpcio(target, grpc.ssl_channel_credentials(roots), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
