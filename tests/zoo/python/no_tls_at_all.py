"""
---
title: Uses the channel of the tutorial
case: "the documentation of gRPC: the basics tutorial for Python"
flaw: [no-tls]
---
`insecure_channel` is what a newcomer meets first, and what works at once. It stays.
"""

import os
import sys
from pathlib import Path

import grpc
from rpc import METHOD, call_grpcio

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    if MENDED:
        call_grpcio(target, grpc.ssl_channel_credentials(Path(ca).read_bytes()), name)
        return
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
