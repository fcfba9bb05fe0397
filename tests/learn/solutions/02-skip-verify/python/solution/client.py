"""Asks the server for a user.

Run as: client.py HOST:PORT CA_FILE [--insecure]
With --insecure it takes any certificate, for the test bench.
"""

import ssl
import sys

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e700"


def credentials(target: str, ca_file: str) -> grpc.ChannelCredentials:
    verify = "--insecure" not in sys.argv
    if verify:
        with open(ca_file, "rb") as file:
            return grpc.ssl_channel_credentials(file.read())
    host, port = target.rsplit(":", 1)
    shown = ssl.get_server_certificate((host, int(port)))
    return grpc.ssl_channel_credentials(shown.encode())


def main() -> None:
    target, ca_file = sys.argv[1:3]
    with grpc.secure_channel(target, credentials(target, ca_file)) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
