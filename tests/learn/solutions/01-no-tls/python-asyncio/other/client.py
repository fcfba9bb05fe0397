"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import asyncio
import ssl
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.events import SendRequest, listen
from messages import GetUserRequest, User


async def bearer(event: SendRequest) -> None:
    event.metadata["authorization"] = "Bearer opens-nothing-5ec4e701"


async def main(target: str, ca_file: str) -> None:
    host, _, port = target.rpartition(":")
    # Verifies chain and name from the beginning, and trusts nobody that it is not told of.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    async with Channel(host, int(port), ssl=context) as channel:
        listen(channel, SendRequest, bearer)
        method = "/users.v1.UserService/GetUser"
        get_user = UnaryUnaryMethod(channel, method, GetUserRequest, User)
        print(await get_user(GetUserRequest(id=2), timeout=5))


asyncio.run(main(*sys.argv[1:]))
