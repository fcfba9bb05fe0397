"""A client that makes a connection for each call, which h2load does not."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection

from bench.workloads import Workload
from mitm.errors import UserError
from mitm.wire import frames

_TIMEOUT = 30.0  # seconds, for each step of a call


def calls(
    port: int, workload: Workload, headers: list[tuple[str, str]]
) -> tuple[float, list[float]]:
    """Make the calls of a workload, a connection each, as many at once as it says.

    Args:
        port: where to, on loopback.
        workload: which calls.
        headers: beside the pseudo-headers.

    Returns:
        Seconds for all of them, and milliseconds of each, with its connection.

    Raises:
        UserError: a call failed.
    """
    request, context = _request(workload, headers), unverifying()
    numbers = iter(range(workload.calls))
    took: list[float] = []
    failures: list[Exception] = []

    def caller() -> None:
        try:
            for _ in numbers:
                start = time.perf_counter()
                _call(port, context, request, workload)
                took.append(1000 * (time.perf_counter() - start))
        except (OSError, UserError) as error:
            failures.append(error)

    callers = [threading.Thread(target=caller) for _ in range(workload.connections)]
    start = time.perf_counter()
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    if failures:
        raise UserError(f"a call over a connection of its own failed: {failures[0]}")
    return time.perf_counter() - start, took


def answer(port: int, workload: Workload, headers: list[tuple[str, str]]) -> bytes:
    """What one call is answered with; see `calls`."""
    return _answer(port, unverifying(), _request(workload, headers))


def unverifying() -> ssl.SSLContext:
    """One that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def opening(path: str) -> bytes:
    """What a client says up to the headers of its first call, which goes on."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    h2.initiate_connection()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":path", path)]
    more = [(":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers")]
    h2.send_headers(1, pseudo + more)
    return h2.data_to_send()


def _request(workload: Workload, headers: list[tuple[str, str]]) -> bytes:
    """All that a client says; on a fresh connection it is always the same."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    h2.initiate_connection()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":path", workload.path)]
    h2.send_headers(1, [*pseudo, (":authority", "localhost"), *headers])
    h2.send_data(1, workload.body, end_stream=True)
    return h2.data_to_send()


def _call(port: int, context: ssl.SSLContext, request: bytes, workload: Workload) -> None:
    answered = len(_answer(port, context, request))
    if answered != len(workload.answer):
        raise UserError(f"{answered} bytes of an answer of {len(workload.answer)}")


def _answer(port: int, context: ssl.SSLContext, request: bytes) -> bytes:
    """What the server sends in DATA."""
    content = b""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as plain:
        # Or the request waits for the ACK of what ends the handshake, which is put off (40 ms).
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            if (tls.version(), tls.selected_alpn_protocol()) != ("TLSv1.3", "h2"):
                raise UserError(f"not TLS 1.3 and HTTP/2, but {tls.version()}")
            tls.sendall(request)
            for frame in _frames(tls):
                if frame.type == frames.DATA:
                    content += frames.content(frame)
                if frame.stream == 1 and frame.flags & frames.END_STREAM:
                    break
    return content


def _frames(tls: ssl.SSLSocket) -> Iterator[frames.RawFrame]:
    reader = frames.FrameReader()
    while data := tls.recv(65_536):
        yield from reader.feed(data)
