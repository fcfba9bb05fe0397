"""Asks the server for a user. Run as: client.py HOST:PORT PIN_FILE NEXT_FILE

PIN_FILE is the server's certificate. NEXT_FILE is the one that it will have after its renewal; the
operators have made it already, and keep it in a safe.
"""

import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e70c"


def main() -> None:
    target, pin_file, next_file = sys.argv[1:4]
    credentials = grpc.ssl_channel_credentials(Path(pin_file).read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
