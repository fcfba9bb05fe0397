"""A server that answers whatever it is asked, where there is none behind the interceptor."""

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from mitm.address import Address
from mitm.wire.grpc import carries_grpc
from mitm.wire.http2 import PREFACE

# The five bytes before a message (gRPC over HTTP/2, "Length-Prefixed-Message"), and no message:
# every field of the answer has its default value.
_EMPTY_MESSAGE = bytes(5)

# For whatever is not HTTP/2. Many a client of something else takes it as an answer, too.
_HTTP_1_ANSWER = b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s"
_PAGE_TYPE = "text/plain; charset=utf-8"


class StandIn:
    """A gRPC server in plaintext on loopback, for `async with`, that answers every method alike.

    Args:
        status: the gRPC status of each answer; 0, with an empty message, is success.
        page: a text for browsers, and for whoever else speaks HTTP and no gRPC; "" for none.
        http_status: what those are answered with.
    """

    def __init__(
        self, status: int = 0, page: str = "", http_status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._status = status
        self._http_status = http_status
        self._page = page.encode()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self._status, self._page, self._http_status, self._connections),
            "127.0.0.1",
            0,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for transport in list(self._connections):
            transport.abort()
        await self._server.wait_closed()

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self._server is not None
        return Address(*self._server.sockets[0].getsockname()[:2])


class _Connection(asyncio.Protocol):
    """One connection: HTTP/2 by its preface, anything else as HTTP/1.1."""

    def __init__(
        self,
        status: int,
        page: bytes,
        http_status: HTTPStatus,
        connections: set[asyncio.Transport],
    ) -> None:
        self._status = status
        self._http_status = http_status
        self._page = page
        self._connections = connections
        self._first = b""
        self._answered = False
        self._h2: h2.connection.H2Connection | None = None
        self._open: dict[int, bool] = {}  # streams without an answer; whether they are gRPC

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but name.
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._h2:
            self._receive(self._h2, data)
        elif not self._answered:
            self._first += data
            if self._first.startswith(PREFACE):
                config = h2.config.H2Configuration(client_side=False)
                self._h2 = h2.connection.H2Connection(config)
                # At once: many clients wait for SETTINGS before they send a request.
                self._h2.initiate_connection()
                self._receive(self._h2, self._first)
            elif not PREFACE.startswith(self._first):
                self._answered = True
                typed = f"Content-Type: {_PAGE_TYPE}\r\n".encode() if self._page else b""
                how = self._http_status, self._http_status.phrase.encode()
                self._transport.write(_HTTP_1_ANSWER % (*how, len(self._page), typed, self._page))
                self._transport.write_eof()

    def _receive(self, connection: h2.connection.H2Connection, data: bytes) -> None:
        try:
            for event in connection.receive_data(data):
                self._handle(connection, event)
        except h2.exceptions.ProtocolError:
            # h2 has put a GOAWAY with the reason into what is sent now.
            self._transport.write(connection.data_to_send())
            self._transport.close()
            return
        self._transport.write(connection.data_to_send())

    def _handle(self, connection: h2.connection.H2Connection, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream), headers=headers):
                self._open[stream] = carries_grpc(headers)
                answer = [(":status", str(self._http_status.value))]
                if self._open[stream]:
                    answer = [(":status", "200"), ("content-type", "application/grpc")]
                elif self._page:
                    answer.append(("content-type", _PAGE_TYPE))
                connection.send_headers(stream, answer)
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                connection.acknowledge_received_data(length, stream)
                # A client may wait for answers before it ends its stream.
                self._answer(connection, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._answer(connection, stream)
            case h2.events.StreamReset(stream_id=int(stream)):
                self._open.pop(stream, None)

    def _answer(self, connection: h2.connection.H2Connection, stream: int) -> None:
        if stream not in self._open:
            return
        if self._open.pop(stream):
            if self._status == 0:
                connection.send_data(stream, _EMPTY_MESSAGE)
            connection.send_headers(stream, [("grpc-status", str(self._status))], end_stream=True)
        elif self._page:
            connection.send_data(stream, self._page, end_stream=True)
        else:
            connection.end_stream(stream)
