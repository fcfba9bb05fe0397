"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import ssl
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e705"


def roots(ca_file: str) -> bytes:
    trusted = b""
    system = ssl.get_default_verify_paths().cafile
    if system:
        trusted += b"\n" + Path(system).read_bytes()
    return trusted + b"\n" + Path(ca_file).read_bytes()


def main() -> None:
    target, ca_file = sys.argv[1:3]
    credentials = grpc.ssl_channel_credentials(roots(ca_file))
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
