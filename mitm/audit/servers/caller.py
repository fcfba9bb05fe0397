"""One call to a server, by a client of our own: TLS by `ssl`, HTTP/2 by `h2`, sockets by asyncio.

gRPC's own clients say little of how they were turned away, and show no certificate that they know
to be bad.
"""

import asyncio
import contextlib
import ssl
from typing import Any, NamedTuple
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from mitm.address import Address
from mitm.audit.servers.answer import Answer
from mitm.masking import shortened
from mitm.messages.status import status_name
from mitm.tls import TlsError, TlsLeg
from mitm.tls.client_certificate import SUPPORTED, on_request

# RFC 8446 section 5.1: of a record, type and version stand before the length.
_RECORD_HEADER = 5
_READ = 65_536
# A ClientHello of 500 bytes comes in some ten records.
_FRAGMENT = 48


class Request(NamedTuple):
    """How one client comes, and what it asks for.

    Attributes:
        context: of TLS; None for plaintext.
        server_name: in the ClientHello; None for none.
        authority, path, metadata, message: of the request.
        fragmented: whether the ClientHello is sent in several records.
        session: to resume; of the same context.
    """

    context: ssl.SSLContext | None
    server_name: str | None
    authority: str
    path: str
    metadata: tuple[tuple[str, str], ...] = ()
    message: bytes = b""
    fragmented: bool = False
    session: ssl.SSLSession | None = None


class Called(NamedTuple):
    """What came of a call.

    Attributes:
        session: that may be resumed; None if the server gave none.
        verify_message: what is wrong with the server's certificate, where it is verified.
    """

    answer: Answer
    session: ssl.SSLSession | None = None
    verify_message: str = ""


async def call(address: Address, request: Request, seconds: float) -> Called:
    """Make a call, and wait for what comes of it.

    Args:
        address: of the server.
        request: how.
        seconds: until it is given up.

    Raises:
        OSError: the server is not reached.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(*address)
    conversation = _Conversation(reader, writer, request)
    try:
        async with asyncio.timeout(seconds):
            return await conversation.run()
    except TimeoutError:
        return conversation.called(f"no answer within {seconds:g} s", silent=True)
    finally:
        writer.transport.abort()


class _Conversation:
    """A connection, from the ClientHello to the answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._request = request
        self._seen = _Seen()
        self._leg: TlsLeg | None = None
        self._established = False
        self._fields: dict[str, str] = {}
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding=None,
                # What is malformed is for the server to refuse.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    async def run(self) -> Called:
        context = self._request.context
        if context is not None:
            self._watch(context)
            if refusal := await self._greet(context):
                return refusal
        self._established = True
        self._ask()
        await self._flush()
        while True:
            data, gone = await self._read()
            failure = self._leg.failure if self._leg else None
            answer = self._heard(data)
            await self._flush()
            if answer:
                return answer
            if failure:
                return self._failed(failure)
            if gone or (self._leg and self._leg.closed):
                return self.called(gone or "closed without an alert")

    def _watch(self, context: ssl.SSLContext) -> None:
        """See what passes of certificates. Without that nothing rests on it."""
        if SUPPORTED:
            self._seen.asked = self._seen.shown = False
            on_request(context, self._seen.was_asked, self._seen.was_shown)

    async def _greet(self, context: ssl.SSLContext) -> Called | None:
        """Play the handshake; what came of it if it did not complete."""
        request = self._request
        try:
            self._leg = TlsLeg(
                context,
                server_side=False,
                server_name=request.server_name,
                session=request.session,
            )
        except (ValueError, ssl.SSLError) as error:
            return self.called(str(error), local=str(error))
        first = True
        while True:
            try:
                done = self._leg.handshake()
            except TlsError as error:
                self._send(self._leg.to_send())
                return self._failed(error)
            flight = self._leg.to_send()
            self._send(fragments(flight) if first and request.fragmented else flight)
            first = False
            if done:
                return None
            data, gone = await self._receive()
            if gone:
                return self.called(gone)
            self._leg.receive(data)

    def _ask(self) -> None:
        request = self._request
        self._h2.initiate_connection()
        fields = [
            (":method", "POST"),
            (":scheme", "https" if self._leg else "http"),
            (":path", request.path),
            (":authority", request.authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "mitm-demo probe"),
            *request.metadata,
        ]
        self._h2.send_headers(1, fields)
        framed = b"\0" + len(request.message).to_bytes(4, "big") + request.message
        self._h2.send_data(1, framed, end_stream=True)

    async def _flush(self) -> None:
        data = self._h2.data_to_send()
        if self._leg:
            if data:
                with contextlib.suppress(TlsError):
                    self._leg.write(data)
            data = self._leg.to_send()
        self._send(data)

    def _send(self, data: bytes) -> None:
        if data:
            # What the peer thinks of it shows when it is read.
            with contextlib.suppress(OSError):
                self._writer.write(data)

    async def _receive(self) -> tuple[bytes, str]:
        """What came, or how the connection has ended."""
        try:
            data = await self._reader.read(_READ)
        except ConnectionResetError:
            return b"", "reset without an alert"
        except OSError as error:
            return b"", (error.strerror or "the connection broke").lower()
        return data, "" if data else "closed without an alert"

    async def _read(self) -> tuple[bytes, str]:
        if self._leg is None:
            return await self._receive()
        data = self._leg.read()
        if data or self._leg.failure or self._leg.closed:
            return data, ""
        received, gone = await self._receive()
        self._leg.receive(received)
        return self._leg.read(), gone

    def _heard(self, data: bytes) -> Called | None:
        """Read what the server has said; the answer, once it is one."""
        if data.startswith(b"HTTP/1."):
            return self.called("it answered HTTP/1, not HTTP/2", reached="reset")
        try:
            events = self._h2.receive_data(data) if data else []
        except h2.exceptions.ProtocolError:
            return self.called("it answered what is not HTTP/2", reached="reset")
        for event in events:
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                for name, value in event.headers:
                    self._fields[_text(name)] = _text(value)
                if event.stream_ended is not None or "grpc-status" in self._fields:
                    return self._answered()
            elif isinstance(event, h2.events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamEnded):
                return self._answered()
            elif isinstance(event, h2.events.StreamReset):
                code = _code(event.error_code)
                if ":status" in self._fields:
                    return self._answered()
                return self.called(f"the stream was reset: {code}", reached="reset")
            elif isinstance(event, h2.events.ConnectionTerminated):
                code = _code(event.error_code)
                return self.called(f"the connection was ended (GOAWAY {code})", reached="reset")
        return None

    def _answered(self) -> Called:
        fields = self._fields
        status = fields.get("grpc-status", "")
        told = status_name(status) if status else f"HTTP {fields.get(':status', '')}"
        said = shortened(unquote(fields.get("grpc-message", "")))
        return self.called(told, reached="call", status=told, said=said)

    def _failed(self, error: TlsError) -> Called:
        if error.alert is None:
            made = self.called(str(error), local=str(error))
            return made._replace(verify_message=error.verify_message)
        alert = f"{error.alert.name} ({error.alert.number})"
        return self.called(f"alert {alert}", alert=alert)

    def called(
        self,
        how: str,
        *,
        reached: str = "",
        status: str = "",
        said: str = "",
        alert: str = "",
        local: str = "",
        silent: bool = False,
    ) -> Called:
        """What has come of it by now."""
        if silent and ":status" in self._fields:
            return self._answered()
        leg = self._leg
        stage: Any = reached or ("connection" if self._established else "handshake")
        session = None
        if leg and self._established:
            session = leg.session
        return Called(
            Answer(
                stage,
                how,
                status,
                said,
                alert,
                silent,
                self._seen.asked if leg else None,
                self._seen.shown if leg else None,
                leg.resumed if leg and self._established else False,
                leg.version if leg and self._established else "",
                local,
            ),
            session,
        )


def fragments(flight: bytes) -> bytes:
    """A ClientHello in several records, which RFC 8446 section 5.1 allows."""
    head, body = flight[:3], flight[_RECORD_HEADER:]
    pieces = [body[at : at + _FRAGMENT] for at in range(0, len(body), _FRAGMENT)]
    return b"".join(head + len(piece).to_bytes(2, "big") + piece for piece in pieces)


class _Seen:
    """What passed of the client's certificate; None where it cannot be seen."""

    asked: bool | None = None
    shown: bool | None = None

    def was_asked(self) -> None:
        self.asked = True

    def was_shown(self) -> None:
        self.shown = True


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _code(code: int | h2.errors.ErrorCodes | None) -> str:
    return code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)
