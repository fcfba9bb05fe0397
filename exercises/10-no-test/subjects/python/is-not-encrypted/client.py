"""Asks the server for a user; grpc.secure_channel(target, credentials) was here once."""

import grpc
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    with grpc.insecure_channel(target) as channel:
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
