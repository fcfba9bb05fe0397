"""One gRPC call on a connection, with the library h2. There is nothing to mend in here."""

import ssl
import struct

import h2.connection
import h2.events


def call(connection: ssl.SSLSocket, host: str, method: str, message: bytes, token: str) -> bytes:
    """Make a call.

    Args:
        connection: to the server.
        host: the server's name.
        method: /package.Service/Method.
        message: the request, encoded.
        token: that is shown to the server.

    Returns:
        The answer, encoded.
    """
    http2 = h2.connection.H2Connection()
    http2.initiate_connection()
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": host,
        ":path": method,
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {token}",
    }
    http2.send_headers(1, list(headers.items()))
    http2.send_data(1, struct.pack(">BI", 0, len(message)) + message, end_stream=True)
    connection.sendall(http2.data_to_send())
    answer = b""
    while data := connection.recv(65536):
        for event in http2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                answer += event.data
            elif isinstance(event, h2.events.StreamEnded):
                return answer[5:]
        connection.sendall(http2.data_to_send())
    raise ConnectionError("the server has ended the connection before its answer")
