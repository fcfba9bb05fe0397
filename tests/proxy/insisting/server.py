"""TLS of Python that insists on a client certificate: server.py FOLDER TLSv1.2|TLSv1.3 [closing].

With `closing` it asks for none, and closes each connection as soon as TLS stands.
"""

import socket
import ssl
import sys
import threading
from pathlib import Path

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def main() -> None:
    folder, version = Path(sys.argv[1]), sys.argv[2]
    closing = sys.argv[3:] == ["closing"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    context.set_alpn_protocols(["h2"])
    if not closing:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    while True:
        client, _ = listening.accept()
        threading.Thread(target=serve, args=(context, client, closing), daemon=True).start()


def serve(context: ssl.SSLContext, client: socket.socket, closing: bool) -> None:
    """HTTP/2's first word, and nothing more, until the client leaves."""
    try:
        with context.wrap_socket(client, server_side=True) as secure:
            if closing:
                return
            secure.sendall(SETTINGS)
            while secure.recv(4096):
                pass
    except OSError as error:
        print(
            f"{type(error).__module__}.{type(error).__name__}: {error}", file=sys.stderr, flush=True
        )


main()
