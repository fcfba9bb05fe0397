"""
---
title: Fetches the certificate without verification, to warn before it expires
case: "the documentation of ssl in Python: get_server_certificate"
name: localhost  # dialled: grpcio checks a name that overrides the target less strictly
---
The same function that the careless ones take their root from. Here a line is printed, no byte is
sent on that connection, and the call is made on another, with the CA.
"""

import ssl
import sys
from pathlib import Path

import grpc
from cryptography import x509
from rpc import address, call_grpcio


def main(target: str, ca: str, name: str) -> None:
    shown = ssl.get_server_certificate(address(target), timeout=10)
    certificate = x509.load_pem_x509_certificate(shown.encode())
    print("expires", certificate.not_valid_after_utc)
    call_grpcio(target, grpc.ssl_channel_credentials(Path(ca).read_bytes()), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
