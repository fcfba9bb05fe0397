"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE CERT_FILE KEY_FILE"""

import asyncio
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub


async def main(target: str, ca: str, cert: str, key: str) -> None:
    files = [Path(name).read_bytes() for name in (ca, key, cert)]
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(*files)) as channel:
        token = grpc.access_token_call_credentials("opens-nothing-5ec4e708")
        stub = UserServiceStub(channel)
        print(await stub.GetUser(GetUserRequest(id=2), credentials=token, timeout=5))


asyncio.run(main(*sys.argv[1:]))
