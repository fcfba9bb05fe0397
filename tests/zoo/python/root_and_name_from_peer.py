"""
---
title: Fetches the certificate, trusts it, and expects the name that stands in it
case: "cisco-ie/cisco-gnmi-python, documentation of ClientBuilder.set_ssl_target_override"
flaw: [roots-from-peer, name-from-peer]
---
Two conveniences, each with a warning in the documentation. Together they are an encrypted channel
to whoever answers: what is verified is that the certificate is the one that was shown before.
"""

import os
import ssl
import sys
from pathlib import Path

import grpc
from chains import common_name
from cryptography import x509
from rpc import address, call_grpcio

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    roots = Path(ca).read_bytes()
    if not MENDED:
        roots = ssl.get_server_certificate(address(target), timeout=10).encode()
        name = common_name(x509.load_pem_x509_certificate(roots))
    call_grpcio(target, grpc.ssl_channel_credentials(roots), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
