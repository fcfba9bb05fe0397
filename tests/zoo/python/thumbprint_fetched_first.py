"""
---
title: Fetches a thumbprint, logs in where it verifies, and then trusts the thumbprint
case: "ansible-collections/community.vmware, an example: vmware_host with fetch_ssl_thumbprint"
flaw: [first-connection-believed]
---
The thumbprint of the host came over a connection that verified nothing. In between stood a login to
another server, verified with care. Then the host was sent its password, if it had the thumbprint.
"""

import hashlib
import os
import ssl
import sys

from rpc import address, ask, call, connected, unverifying, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    pem = ssl.get_server_certificate(address(target), timeout=10)
    thumbprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
    call(target, verifying(ca), name)
    with connected(target, verifying(ca) if MENDED else unverifying(), name) as host:
        shown = host.getpeercert(binary_form=True) or b""
        if hashlib.sha256(shown).digest() != thumbprint:
            sys.exit("another thumbprint")
        ask(host)


if __name__ == "__main__":
    main(*sys.argv[1:])
