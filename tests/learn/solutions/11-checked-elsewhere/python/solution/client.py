"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import socket
import ssl
import sys

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e70b"


def must_be_genuine(target: str, ca_file: str) -> None:
    """Leave if the server is not ours."""
    host, port = target.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def main() -> None:
    target, ca_file = sys.argv[1:3]
    must_be_genuine(target, ca_file)
    with open(ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
