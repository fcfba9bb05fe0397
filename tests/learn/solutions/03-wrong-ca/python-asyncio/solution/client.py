"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import asyncio
import ssl
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from messages import GetUserRequest, User

TOKEN = "opens-nothing-5ec4e703"


async def main() -> None:
    target, ca_file = sys.argv[1:3]
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    host, port = target.rsplit(":", 1)
    async with Channel(host, int(port), ssl=context) as channel:
        method = "/users.v1.UserService/GetUser"
        user = await UnaryUnaryMethod(channel, method, GetUserRequest, User)(
            GetUserRequest(id=1),
            metadata={"authorization": f"Bearer {TOKEN}"},
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    asyncio.run(main())
