"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import socket
import ssl
import sys

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e70b"


def must_be_genuine(target: str, ca_file: str) -> bytes:
    """Leave if the server is not ours."""
    host, port = target.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()


def main() -> None:
    target, ca_file = sys.argv[1:3]
    # What was verified is all that is trusted.
    credentials = grpc.ssl_channel_credentials(must_be_genuine(target, ca_file))
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
