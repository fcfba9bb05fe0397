"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, User, UserServiceStub

TOKEN = "opens-nothing-5ec4e707"


def ask(channel: grpc.Channel) -> User:
    with channel:
        return UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )


def get_user(target: str, ca_file: str) -> User:
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    try:
        return ask(grpc.secure_channel(target, credentials))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE or "erif" in error.details():
            raise
    # Once more, in the same way.
    return ask(grpc.secure_channel(target, credentials))


def main() -> None:
    target, ca_file = sys.argv[1:3]
    user = get_user(target, ca_file)
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
