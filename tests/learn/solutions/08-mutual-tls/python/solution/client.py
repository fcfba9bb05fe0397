"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE CERT_FILE KEY_FILE"""

import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e708"


def main() -> None:
    target, ca_file, cert_file, key_file = sys.argv[1:5]
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(ca_file).read_bytes(),
        private_key=Path(key_file).read_bytes(),
        certificate_chain=Path(cert_file).read_bytes(),
    )
    with grpc.secure_channel(target, credentials) as channel:
        user = UserServiceStub(channel).GetUser(
            GetUserRequest(id=1),
            metadata=[("authorization", f"Bearer {TOKEN}")],
            timeout=5,
        )
    print(f"{user.name} <{user.email}>")


if __name__ == "__main__":
    main()
