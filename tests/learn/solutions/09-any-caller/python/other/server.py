"""Serves users. Run as: server.py HOST:PORT CERT_FILE KEY_FILE CLIENTS_CA_FILE ALLOWED

ALLOWED is the DNS name in the certificate of the one client that may call. The CA signs for the
clients of other servers as well.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from cryptography import x509
from user_service import NAME, GetUserRequest, User

ALLOWED = sys.argv[5]


def get_user(request: GetUserRequest, context: grpc.ServicerContext) -> User:
    return User(id=request.id, name="Nicolas", email="nicolas@example.com")


class OneClient(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        handler = continuation(details)

        def checked(request, context):
            pem = context.auth_context()["x509_pem_cert"][0]
            extensions = x509.load_pem_x509_certificate(pem).extensions
            try:
                names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            except x509.ExtensionNotFound:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            if names.get_values_for_type(x509.DNSName) != [ALLOWED]:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "this is for another client")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            checked, handler.request_deserializer, handler.response_serializer
        )


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
    server = grpc.server(ThreadPoolExecutor(), interceptors=[OneClient()])
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(NAME, {"GetUser": method})]
    )
    server.add_secure_port(listen, credentials)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
