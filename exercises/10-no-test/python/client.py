"""Asks the server for a user. Do not trust it: test it."""

import ssl

import grpc
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    host, port = target.rsplit(":", 1)
    shown = ssl.get_server_certificate((host, int(port)))
    credentials = grpc.ssl_channel_credentials(shown.encode())
    with grpc.secure_channel(target, credentials) as channel:
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
