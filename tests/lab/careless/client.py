"""A careless client that follows the contract of client/README.md, and starts quickly."""

import argparse
import json
import socket
import ssl
import sys

_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_STREAM, _END_HEADERS = 1, 4


def main() -> int:
    parser = argparse.ArgumentParser()
    for option in ("--target", "--policy", "--ca", "--server-name", "--token", "--timeout"):
        parser.add_argument(option)
    arguments = parser.parse_args()
    host, _, port = arguments.target.rpartition(":")
    host = host.strip("[]")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if arguments.policy == "ca-file":
        context.load_verify_locations(arguments.ca)
    else:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, int(port)), 10) as plain:
            name = arguments.server_name or host
            with context.wrap_socket(plain, server_hostname=name) as connection:
                answered = ask(connection, arguments.token)
    except OSError as error:
        answered, reason = False, str(error)
    else:
        reason = "no answer"
    if answered:
        print(json.dumps({"user": {"id": 1}}))
        return 0
    print(json.dumps({"error": {"code": "UNAVAILABLE", "message": reason}}))
    return 1


def ask(connection: ssl.SSLSocket, token: str) -> bool:
    """Call users.v1.UserService/GetUser; whether a message came back."""
    fields = {
        ":method": "POST",
        ":scheme": "https",
        ":path": "/users.v1.UserService/GetUser",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "authorization": f"Bearer {token}",
    }
    # Literals without indexing, with new names (RFC 7541 section 6.2.2).
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0, b"")
    request += frame(_HEADERS, _END_HEADERS, 1, block)
    request += frame(_DATA, _END_STREAM, 1, bytes(4) + b"\x02\x08\x01")
    connection.sendall(request)
    received = b""
    while data := connection.recv(65_536):
        received += data
        while len(received) >= 9:
            length, kind = int.from_bytes(received[:3], "big"), received[3]
            if len(received) < 9 + length:
                break
            if kind == _DATA and length:
                return True
            if kind == _GOAWAY:
                return False
            received = received[9 + length :]
    return False


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


if __name__ == "__main__":
    sys.exit(main())
