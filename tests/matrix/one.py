"""Two clients by the contract of client/README.md, a careful and a careless one, for the matrix."""

import argparse
import json
import os
import socket
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab" / "careless"))

from client import ask  # type: ignore[attr-defined]


def context_of(policy: str, ca: str, *, careless: bool) -> ssl.SSLContext:
    """How a policy decides whom to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if policy == "ca-file":
        context.load_verify_locations(ca)
        context.check_hostname = not careless
    elif policy in ("no-ca", "system-roots") and not careless:
        # What the machine trusts, also where that is played for this program alone.
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def main() -> int:
    """Make the call, and tell what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--version", action="store_true")
    for option in ("--target", "--policy", "--ca", "--pin", "--server-name", "--token"):
        parser.add_argument(option)
    parser.add_argument("--timeout")
    arguments = parser.parse_args()
    if arguments.version:
        print(os.environ.get("ONE_VERSION", f"ssl 1, python {sys.version_info.major}"))
        return 0
    if arguments.policy == "pinned":
        reason = "Python's ssl takes no leaf for a root"
        print(json.dumps({"unsupported": {"policy": "pinned", "reason": reason}}))
        return 4
    host, _, port = arguments.target.rpartition(":")
    host = host.strip("[]")
    name = arguments.server_name or host
    try:
        context = context_of(arguments.policy, arguments.ca, careless=arguments.kind == "careless")
        with socket.create_connection((host, int(port)), 10) as plain:
            if arguments.policy == "insecure":
                answered = ask(plain, arguments.token)
            else:
                with context.wrap_socket(plain, server_hostname=name) as connection:
                    answered = ask(connection, arguments.token)
        reason = os.environ.get("ONE_SAYS", "no answer")
    except OSError as error:
        answered, reason = False, os.environ.get("ONE_SAYS", str(error))
    if answered:
        print(json.dumps({"user": {"id": 1}}))
        return 0
    print(json.dumps({"error": {"code": "UNAVAILABLE", "message": reason}}))
    return 1


if __name__ == "__main__":
    sys.exit(main())
