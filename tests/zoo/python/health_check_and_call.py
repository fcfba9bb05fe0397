"""
---
title: Asks for the health of the server with one library, and calls with another
case: "dapr/python-sdk, an example: a health check by HTTP before a call by gRPC"
name: localhost  # dialled: grpcio checks a name that overrides the target less strictly
---
Two connections, two stacks, two protocols, and both verify. A forgery that stops it at the first
has proved nothing of the second.
"""

import sys
from pathlib import Path

import grpc
from rpc import call_grpcio, connected, verifying


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.set_alpn_protocols(["http/1.1"])
    with connected(target, context, name) as health:
        health.sendall(f"GET /v1.0/healthz/outbound HTTP/1.1\r\nhost: {name}\r\n\r\n".encode())
        if not health.recv(65536).startswith(b"HTTP/1.1 200"):
            sys.exit("not healthy")
    call_grpcio(target, grpc.ssl_channel_credentials(Path(ca).read_bytes()), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
