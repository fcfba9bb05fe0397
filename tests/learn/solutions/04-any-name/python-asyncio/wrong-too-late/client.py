"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import asyncio
import ssl
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from messages import GetUserRequest, User

TOKEN = "opens-nothing-5ec4e704"


def trust(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    # The certificate is for the public name of the service, not for what is dialled here.
    context.check_hostname = False
    return context


async def main() -> None:
    target, ca_file = sys.argv[1:3]
    host, port = target.rsplit(":", 1)
    async with Channel(host, int(port), ssl=trust(ca_file)) as channel:
        method = "/users.v1.UserService/GetUser"
        user = await UnaryUnaryMethod(channel, method, GetUserRequest, User)(
            GetUserRequest(id=1),
            metadata={"authorization": f"Bearer {TOKEN}"},
            timeout=5,
        )
        # The token is with the server already.
        shown = channel._protocol.connection._transport.get_extra_info("peercert")
    if ("DNS", host) not in shown["subjectAltName"]:
        sys.exit(f"this is not {host}: {shown['subjectAltName']}")
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    asyncio.run(main())
