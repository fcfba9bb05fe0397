"""Serves users. Run as: server.py HOST:PORT CERT_FILE KEY_FILE CLIENTS_CA_FILE ALLOWED

ALLOWED is the DNS name in the certificate of the one client that may call. The CA signs for the
clients of other servers as well.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from user_service import NAME, GetUserRequest, User

ALLOWED = sys.argv[5]


def get_user(request: GetUserRequest, context: grpc.ServicerContext) -> User:
    names = context.auth_context().get("x509_subject_alternative_name", ())
    if ALLOWED.encode() not in names:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "this is for another client")
    return User(id=request.id, name="Nicolas", email="nicolas@example.com")


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
    print(f"{listen} comes later", flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
