"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import socket
import ssl
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e704"


def name_of(target: str, ca_file: str) -> str:
    """For whom the server's certificate is: some of ours have odd names."""
    host, port = target.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        kind, name = connection.getpeercert()["subjectAltName"][0]
    return name


def main() -> None:
    target, ca_file = sys.argv[1:3]
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
