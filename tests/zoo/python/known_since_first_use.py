"""
---
title: Trusts on first use, and that was long ago
case: "the documentation of OpenSSH: known_hosts, in the words of TLS"
arguments: ["{target}", "{pin}", "{name}"]
name: localhost  # dialled: grpcio checks a name that overrides the target less strictly
---
What the server showed the first time is in a file, and every later certificate has to be that one.
Nothing is stored that was not there.
"""

import sys
from pathlib import Path

import grpc
from rpc import call_grpcio


def main(target: str, known_hosts: str, name: str) -> None:
    stored = Path(known_hosts).read_bytes()
    if not stored:
        sys.exit("never seen: ask somebody")
    call_grpcio(target, grpc.ssl_channel_credentials(stored), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
