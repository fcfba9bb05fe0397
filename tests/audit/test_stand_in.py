"""The stand-in server, as real clients see it: grpcio, h2, and HTTP/1.1."""

import asyncio
import contextlib
import http.client
import socket
from collections.abc import Iterator

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from mitm.address import Address
from mitm.audit import stand_in, status_code
from mitm.errors import UserError
from mitm.proxy import StandIn
from tests.proxy.stage import LoopFactory, run

UNARY = "/some.Service/Unary"


def identity(data: bytes) -> bytes:
    return data


def call(address: Address, kind: str) -> list[bytes]:
    """Make a call of a kind with grpcio; the answers."""
    requests: Iterator[bytes] = iter([b"one", b"two", b"x" * 100_000])
    with grpc.insecure_channel(str(address)) as channel:
        method = (kind, identity, identity)
        match kind:
            case "/s/unary_unary":
                return [channel.unary_unary(*method)(b"request", timeout=10)]
            case "/s/unary_stream":
                return list(channel.unary_stream(*method)(b"request", timeout=10))
            case "/s/stream_unary":
                return [channel.stream_unary(*method)(requests, timeout=10)]
        return list(channel.stream_stream(*method)(requests, timeout=10))


CALLS = ["/s/unary_unary", "/s/unary_stream", "/s/stream_unary", "/s/stream_stream"]


@pytest.mark.parametrize("kind", CALLS)
def test_any_method_is_answered_with_an_empty_message(kind: str, loop: LoopFactory) -> None:
    async def main() -> None:
        async with stand_in() as server:
            assert not server.tls
            assert await asyncio.to_thread(call, server.address, kind) == [b""]

    run(main(), loop)


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("name", ["UNAUTHENTICATED", "UNAVAILABLE"])
def test_a_status_of_ones_own_is_answered_with(kind: str, name: str) -> None:
    async def main() -> None:
        async with stand_in(status_code(name)) as server:
            with pytest.raises(grpc.RpcError) as error:
                await asyncio.to_thread(call, server.address, kind)
            assert error.value.code() is getattr(grpc.StatusCode, name)

    run(main())


@pytest.mark.parametrize(("text", "number"), [("OK", 0), ("unavailable", 14), ("16", 16)])
def test_a_status_is_known_by_name_and_number(text: str, number: int) -> None:
    assert status_code(text) == number


@pytest.mark.parametrize("text", ["", "17", "-1", "FINE", "٣"])
def test_a_status_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="unknown gRPC status"):
        status_code(text)


def exchange(address: Address, sent: bytes) -> bytes:
    """Send bytes, and read until the server ends."""
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(sent)
        received = b""
        while data := client.recv(65_536):
            received += data
        return received


def test_http_1_is_answered_too() -> None:
    def get(address: Address) -> int:
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    async def main() -> None:
        async with stand_in() as server:
            assert await asyncio.to_thread(get, server.address) == 200

    run(main())


@pytest.mark.parametrize("sent", [b"EHLO me\r\n", b"\x00\x01\x02", b"PRI * HTTP/1.1\r\n\r\n"])
def test_whatever_else_is_sent_gets_some_answer_and_an_end(sent: bytes) -> None:
    async def main() -> None:
        async with stand_in() as server:
            answer = await asyncio.to_thread(exchange, server.address, sent)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")

    run(main())


class Http2:
    """A client that is played by h2, byte by byte where a test wants it."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.events: list[h2.events.Event] = []

    def wait(self, kind: type[h2.events.Event]) -> h2.events.Event:
        while not (found := [e for e in self.events if isinstance(e, kind)]):
            self.flush()
            data = self.socket.recv(65_536)
            assert data, f"it ended before {kind.__name__}: {self.events}"
            self.events += self.h2.receive_data(data)
        return found[0]

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def request(self, content_type: str | None, *, end_stream: bool) -> None:
        headers = [(":method", "POST"), (":scheme", "http"), (":path", UNARY), (":authority", "x")]
        if content_type:
            headers.append(("content-type", content_type))
        self.h2.send_headers(1, headers, end_stream=end_stream)


def test_settings_come_before_any_request() -> None:
    """Many clients wait for them."""

    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.h2.initiate_connection()
            client.wait(h2.events.RemoteSettingsChanged)

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)

    run(main())


def test_a_preface_in_pieces_is_a_preface() -> None:
    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.h2.initiate_connection()
            for byte in client.h2.data_to_send():
                client.socket.sendall(bytes([byte]))
            client.wait(h2.events.RemoteSettingsChanged)

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)

    run(main())


def test_headers_come_before_a_client_has_sent_a_message() -> None:
    """As with a real server, which a bidirectional client may wait for."""

    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.h2.initiate_connection()
            client.request("application/grpc+proto", end_stream=False)
            client.wait(h2.events.ResponseReceived)
            assert not any(isinstance(e, h2.events.TrailersReceived) for e in client.events)
            client.h2.send_data(1, bytes(5), end_stream=True)
            trailers = client.wait(h2.events.TrailersReceived)
            assert isinstance(trailers, h2.events.TrailersReceived)
            assert ("grpc-status", "0") in (trailers.headers or ())

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)

    run(main())


@pytest.mark.parametrize("content_type", [None, "text/html"])
def test_http_2_that_is_no_grpc_gets_a_plain_answer(content_type: str | None) -> None:
    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.h2.initiate_connection()
            client.request(content_type, end_stream=True)
            client.wait(h2.events.StreamEnded)
            (response,) = (e for e in client.events if isinstance(e, h2.events.ResponseReceived))
            assert [(str(n), str(v)) for n, v in response.headers] == [(":status", "200")]
            assert not any(isinstance(e, h2.events.TrailersReceived) for e in client.events)

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)

    run(main())


def test_http_2_gone_wrong_is_told_and_ended() -> None:
    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.h2.initiate_connection()
            client.flush()
            # A DATA frame on a stream that was never opened (RFC 9113 section 5.1).
            client.socket.sendall(bytes.fromhex("000000 00 00 00000001"))
            client.wait(h2.events.ConnectionTerminated)

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)
            # The next client is none the worse for it.
            assert await asyncio.to_thread(call, server.address, CALLS[0]) == [b""]

    run(main())


def test_header_values_of_any_bytes_are_taken() -> None:
    def play(address: Address) -> None:
        client = Http2(address)
        with client.socket:
            client.h2.initiate_connection()
            client.h2.send_headers(
                1,
                [
                    (b":method", b"POST"),
                    (b":scheme", b"http"),
                    (b":path", b"/\xff"),
                    (b":authority", b"x"),
                    (b"content-type", b"application/grpc"),
                    (b"x-odd", b"\xff\xfe"),
                ],
                end_stream=True,
            )
            client.wait(h2.events.TrailersReceived)

    async def main() -> None:
        async with stand_in() as server:
            await asyncio.to_thread(play, server.address)

    run(main())


def test_its_end_is_the_end_of_its_connections() -> None:
    async def main() -> None:
        async with StandIn() as server:
            address = server.address
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"PRI")
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)

    run(main())
