"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import sys

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e701"


def main() -> None:
    target, ca_file = sys.argv[1:3]
    credentials = grpc.ssl_channel_credentials()
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
