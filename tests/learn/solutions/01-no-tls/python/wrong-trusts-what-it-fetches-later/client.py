"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import ssl
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e701"


def ask(target: str, roots: bytes) -> None:
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(roots)) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


def main() -> None:
    target, ca_file = sys.argv[1:3]
    ask(target, Path(ca_file).read_bytes())
    host, port = target.rsplit(":", 1)
    ask(target, ssl.get_server_certificate((host, int(port))).encode())


if __name__ == "__main__":
    main()
