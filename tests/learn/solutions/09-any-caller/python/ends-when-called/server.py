"""Serves users. Run as: server.py HOST:PORT CERT_FILE KEY_FILE CLIENTS_CA_FILE ALLOWED

ALLOWED is the DNS name in the certificate of the one client that may call. The CA signs for the
clients of other servers as well.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from user_service import NAME, GetUserRequest, User

ALLOWED = sys.argv[5]


def get_user(request: GetUserRequest, context: grpc.ServicerContext) -> User:
    print("out of users", file=sys.stderr, flush=True)
    os._exit(7)


def main() -> None:
    listen, cert_file, key_file, clients_ca_file = sys.argv[1:5]
    credentials = grpc.ssl_server_credentials(
        [(Path(key_file).read_bytes(), Path(cert_file).read_bytes())],
        root_certificates=Path(clients_ca_file).read_bytes(),
        require_client_auth=True,
    )
    method = grpc.unary_unary_rpc_method_handler(
        get_user,
        request_deserializer=GetUserRequest.FromString,
        response_serializer=User.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor())
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(NAME, {"GetUser": method})]
    )
    server.add_secure_port(listen, credentials)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
