"""Trusts nobody at all."""

import sys

import grpc
from user_service import GetUserRequest, UserServiceStub

with grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials()) as channel:
    UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
