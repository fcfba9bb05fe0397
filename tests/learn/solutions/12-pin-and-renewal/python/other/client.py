"""Asks the server for a user. Run as: client.py HOST:PORT PIN_FILE NEXT_FILE"""

import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, User, UserServiceStub

TOKEN = "opens-nothing-5ec4e70c"


def ask(target: str, pin_file: str) -> User:
    credentials = grpc.ssl_channel_credentials(Path(pin_file).read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        metadata = [("authorization", f"Bearer {TOKEN}")]
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), metadata=metadata, timeout=5)


target, now, after = sys.argv[1:]
try:
    print(ask(target, now))
except grpc.RpcError:
    print(ask(target, after))
