"""
---
title: Has a switch against verification in the environment, and it is not set
case: "PEP 493: PYTHONHTTPSVERIFY"
name: localhost  # dialled: grpcio checks a name that overrides the target less strictly
---
What the code can do is not what it does. Who sets the switch has another client.
"""

import asyncio
import os
import ssl
import sys
from pathlib import Path

import grpc
from rpc import METHOD


async def call(target: str, roots: bytes) -> None:
    credentials = grpc.ssl_channel_credentials(roots)
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=10)


def main(target: str, ca: str, name: str) -> None:
    roots = Path(ca).read_bytes()
    if os.environ.get("PYTHONHTTPSVERIFY") == "0":
        host, port = target.rsplit(":", 1)
        roots = ssl.get_server_certificate((host, int(port))).encode()
    asyncio.run(call(target, roots))


if __name__ == "__main__":
    main(*sys.argv[1:])
