"""Asks a server for its descriptors, through gRPC's reflection service.

grpcio cannot be told to trust any certificate, and the interceptor does not ask who the server is;
so the two calls that this takes are spoken here, with the h2 library.
"""

import asyncio
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from mitm.address import Address
from mitm.errors import UserError, explain
from mitm.messages.status import percent_decoded, status_name
from mitm.wire.frames import ProtocolError
from mitm.wire.grpc import Budget, MessageReader

# Seconds for all of it. The largest public interfaces are some hundred files.
REFLECTION_SECONDS = 5.0

# Seconds for a TLS handshake, before plaintext is tried: there are servers that answer neither.
TLS_SECONDS = 2.0

# Files, and bytes of them, that are asked for: Google's public interfaces, all of them together,
# are some 9,000 files of 30 MB.
MAX_FILES = 10_000
MAX_SIZE = 64 * 1024 * 1024

# The two versions have the same messages; servers have one of them, or both.
# https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
_METHODS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
_UNIMPLEMENTED = "12"
_READ_SIZE = 65_536


class _NoAnswerError(Exception):
    """The server has not answered as hoped; the text says how it did."""

    def __init__(self, reason: str, status: str = "") -> None:
        super().__init__(reason)
        self.status = status


async def reflect(address: Address) -> FileDescriptorSet:
    """Ask a server, over TLS or in plaintext, for the descriptors of all its services.

    Args:
        address: the server; whatever certificate it shows is taken.

    Raises:
        UserError: it did not tell; the text says why.
    """
    try:
        async with asyncio.timeout(REFLECTION_SECONDS):
            files = await _reflect(address)
    except TimeoutError:
        raise UserError(
            f"{address} has not told its services within {REFLECTION_SECONDS:g} s"
        ) from None
    except _NoAnswerError as error:
        raise UserError(f"{address} does not tell its services by reflection: {error}") from None
    except (h2.exceptions.ProtocolError, ProtocolError) as error:
        raise UserError(f"{address} does not speak gRPC: {error}") from None
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise UserError(f"{address} cannot be asked for its services: {reason}") from None
    except (OSError, UnicodeError) as error:
        raise UserError(f"{address} cannot be asked for its services: {explain(error)}") from None
    return files


async def _reflect(address: Address) -> FileDescriptorSet:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        reader, writer = await asyncio.open_connection(
            *address, ssl=context, ssl_handshake_timeout=TLS_SECONDS
        )
    except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError):
        reader, writer = await asyncio.open_connection(*address)
    try:
        server = _Server(reader, writer, address)
        try:
            return await _all_files(server, _METHODS[0])
        except _NoAnswerError as error:
            if error.status != _UNIMPLEMENTED:
                raise
        return await _all_files(server, _METHODS[1])
    finally:
        writer.transport.abort()


async def _all_files(server: "_Server", method: str) -> FileDescriptorSet:
    """Ask for the services, for the file of each, and for what these import."""
    request = reflection_pb2.ServerReflectionRequest
    server.call(method)
    listed = await server.ask(request(list_services="*"))
    wanted = [
        request(file_containing_symbol=service.name)
        for service in listed.list_services_response.service
    ]
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    size = 0
    while wanted:
        answer = await server.ask(wanted.pop())
        for data in answer.file_descriptor_response.file_descriptor_proto:
            size += len(data)
            try:
                file = FileDescriptorProto.FromString(data)
            except DecodeError:
                raise _NoAnswerError("what it sends is no descriptor") from None
            files[file.name] = file
            for name in file.dependency:
                if name not in asked:
                    asked.add(name)
                    wanted.append(request(file_by_filename=name))
        # A server may send a file's imports along with it, or wait to be asked for each.
        wanted = [each for each in wanted if each.file_by_filename not in files]
        if len(asked) > MAX_FILES or size > MAX_SIZE:
            raise _NoAnswerError(f"more than {MAX_FILES} files or {MAX_SIZE} bytes of them")
    if not files:
        raise _NoAnswerError("it names no file of any service")
    return FileDescriptorSet(file=files.values())


class _Server:
    """A connection to the server, with one call at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._authority = str(address)
        self._scheme = "https" if writer.get_extra_info("ssl_object") else "http"
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._h2.initiate_connection()
        self._stream = 0
        self._messages = MessageReader(Budget())
        self._answers: list[bytes] = []

    def call(self, method: str) -> None:
        """Open a call."""
        self._stream = self._h2.get_next_available_stream_id()
        self._messages = MessageReader(Budget())
        self._answers.clear()
        fields = [
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", method),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self._h2.send_headers(self._stream, fields)

    async def ask(
        self, request: reflection_pb2.ServerReflectionRequest
    ) -> reflection_pb2.ServerReflectionResponse:
        """Send a message of the call and wait for the next one.

        Raises:
            _NoAnswerError: there is none.
        """
        data = request.SerializeToString()
        self._h2.send_data(self._stream, b"\0" + len(data).to_bytes(4, "big") + data)
        while not self._answers:
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()
            received = await self._reader.read(_READ_SIZE)
            if not received:
                raise _NoAnswerError("it has closed the connection")
            for event in self._h2.receive_data(received):
                self._see(event)
        try:
            return reflection_pb2.ServerReflectionResponse.FromString(self._answers.pop(0))
        except DecodeError:
            raise _NoAnswerError("its answer is not one of the reflection service") from None

    def _see(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            raise _NoAnswerError("it has ended the connection with GOAWAY")
        if getattr(event, "stream_id", None) != self._stream:
            return
        match event:
            case h2.events.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, self._stream)
                for message in self._messages.feed(event.data):
                    if message.compressed or message.truncated:
                        raise _NoAnswerError("its answer is compressed, or too long")
                    self._answers.append(message.data)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                fields = {name: value.decode("utf-8", "replace") for name, value in event.headers}
                if status := fields.get(b"grpc-status"):
                    said = percent_decoded(fields.get(b"grpc-message", ""))
                    raise _NoAnswerError(f"{status_name(status)} {said}".strip(), status)
                if (http_status := fields.get(b":status", "200")) != "200":
                    raise _NoAnswerError(f"HTTP status {http_status}")
            case h2.events.StreamReset() | h2.events.StreamEnded():
                raise _NoAnswerError("it has ended the call")
