"""Asks the server for a user."""

from pathlib import Path

import grpc
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    # Never by ssl.get_server_certificate, a target_name_override, or an insecure_channel again.
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
