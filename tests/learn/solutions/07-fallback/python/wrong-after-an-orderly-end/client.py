"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import socket
import ssl
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e707"


def speaks_tls(target: str, ca_file: str) -> bool:
    host, port = target.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except ssl.SSLEOFError:
        return False


def channel_to(target: str, ca_file: str) -> grpc.Channel:
    if speaks_tls(target, ca_file):
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(ca_file).read_bytes()))
    return grpc.insecure_channel(target)


def main() -> None:
    with channel_to(*sys.argv[1:3]) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
