"""Asks the server for a user, on asyncio."""

import asyncio
from pathlib import Path

import grpc
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    return asyncio.run(_get_user(target, Path(ca_file).read_bytes()))


async def _get_user(target: str, ca: bytes) -> User:
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(ca)) as channel:
        return await UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
