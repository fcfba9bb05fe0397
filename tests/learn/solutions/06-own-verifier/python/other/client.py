"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import asyncio
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub


async def main(target: str, ca_file: str) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=Path(ca_file).read_bytes())
    async with grpc.aio.secure_channel(target, credentials) as channel:
        token = grpc.access_token_call_credentials("opens-nothing-5ec4e700")
        stub = UserServiceStub(channel)
        print(await stub.GetUser(GetUserRequest(id=2), credentials=token, timeout=5))


asyncio.run(main(*sys.argv[1:]))
