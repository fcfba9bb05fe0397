"""Asks the server for a user; ssl_channel_credentials(...read_bytes()) sees to the CA."""

import ssl
from pathlib import Path

import grpc
from cryptography import x509
from user_service import GetUserRequest, User, UserServiceStub


def get_user(target: str, ca_file: str) -> User:
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    host, port = target.rsplit(":", 1)
    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    name = names.get_values_for_type(x509.DNSName)[0]
    options = [("grpc.ssl_target_name_override", name)]
    with grpc.secure_channel(target, credentials, options) as channel:
        return UserServiceStub(channel).GetUser(GetUserRequest(id=1), timeout=5)
