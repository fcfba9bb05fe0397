"""
---
title: Has an option verify=False that fetches the certificate and trusts it
case: "o73k51i/qapytest pull request 29: verify=False for gRPC"
flaw: [roots-from-peer]
---
Meant to be like `grpcurl -insecure`, in a library for tests. The tests hold the tokens of the real
service.
"""

import asyncio
import os
import ssl
import sys
from pathlib import Path

import grpc
from rpc import METHOD, address

MENDED = "MENDED" in os.environ

VERIFY = False


async def call(target: str, roots: bytes, name: str) -> None:
    credentials = grpc.ssl_channel_credentials(roots)
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=10)


def main(target: str, ca: str, name: str) -> None:
    roots = Path(ca).read_bytes()
    if not VERIFY and not MENDED:
        roots = ssl.get_server_certificate(address(target), timeout=10).encode()
    asyncio.run(call(target, roots, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
