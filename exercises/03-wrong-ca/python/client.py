"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE"""

import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e703"

# The CA of all our servers.
CA_FILE = Path(__file__).with_name("company-ca.pem")


def main() -> None:
    target, ca_file = sys.argv[1:3]
    credentials = grpc.ssl_channel_credentials(CA_FILE.read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
