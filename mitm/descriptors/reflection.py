"""Asks a server for its descriptors, through gRPC's reflection service.

grpcio cannot be told to trust any certificate, and the interceptor does not ask who the server is;
so the two calls that this takes are spoken here, with the h2 library.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from mitm.address import Address
from mitm.errors import UserError, explain
from mitm.messages.status import percent_decoded, status_name
from mitm.messages.wire_format import BYTES, MalformedError, fields, of_bytes
from mitm.tls import alert_in
from mitm.tls.client_certificate import on_request, refused
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


# Fields of its requests and of its responses.
_FILE_BY_FILENAME, _FILE_CONTAINING_SYMBOL, _LIST_SERVICES = 3, 4, 7
_FILE_DESCRIPTOR, _EXTENSION_NUMBERS, _SERVICES, _ERROR = 4, 5, 6, 7


class _Answer(NamedTuple):
    """A response of the service.

    Attributes:
        services: names of services.
        files: serialized descriptors of files.
    """

    services: list[bytes]
    files: list[bytes]


class _NoAnswerError(Exception):
    """The server has not answered as hoped; the text says how it did."""

    def __init__(self, reason: str, status: str = "") -> None:
        super().__init__(reason)
        self.status = status


async def reflect(
    address: Address, present: Callable[[ssl.SSLContext], None] | None = None
) -> FileDescriptorSet:
    """Ask a server, over TLS or in plaintext, for the descriptors of all its services.

    Args:
        address: the server; whatever certificate it shows is taken.
        present: has the TLS present a client certificate to a server that asks; None for none.

    Raises:
        UserError: it did not tell; the text says why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if present:
        present(context)
    try:
        async with asyncio.timeout(REFLECTION_SECONDS):
            files = await _reflect(address, context, presented=present is not None)
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


async def _reflect(
    address: Address, context: ssl.SSLContext, *, presented: bool
) -> FileDescriptorSet:
    asked: list[bool] = []
    on_request(context, lambda: asked.append(True))
    try:
        reader, writer = await asyncio.open_connection(
            *address, ssl=context, ssl_handshake_timeout=TLS_SECONDS
        )
    except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
        if asked:
            raise _NoAnswerError(refused(alert_in(error), presented=presented)) from None
        reader, writer = await asyncio.open_connection(*address)
    server = _Server(reader, writer, address)
    try:
        return await _files_of(server)
    except (OSError, _NoAnswerError) as error:
        if not asked or server.has_spoken:
            raise
        alert = alert_in(error) if isinstance(error, OSError) else None
        raise _NoAnswerError(refused(alert, presented=presented)) from None
    finally:
        writer.transport.abort()


async def _files_of(server: "_Server") -> FileDescriptorSet:
    """Ask by the one version of the service, or else by the other."""
    try:
        return await _all_files(server, _METHODS[0])
    except _NoAnswerError as error:
        if error.status != _UNIMPLEMENTED:
            raise
    return await _all_files(server, _METHODS[1])


async def _all_files(server: "_Server", method: str) -> FileDescriptorSet:
    """Ask for the services, for the file of each, and for what these import.

    A file that the server does not have, or that is none, costs no other.
    """
    server.call(method)
    listed = await server.ask(of_bytes(_LIST_SERVICES, b"*"))
    wanted = [(_FILE_CONTAINING_SYMBOL, name) for name in listed.services]
    files: dict[bytes, FileDescriptorProto] = {}
    asked: set[bytes] = set()
    size = 0
    lost = _NoAnswerError("it names no file of any service")
    while wanted:
        kind, name = wanted.pop()
        # A server may send a file's imports along with it, or wait to be asked for each.
        if kind == _FILE_BY_FILENAME and name in files:
            continue
        try:
            answer = await server.ask(of_bytes(kind, name))
        except _NoAnswerError as error:
            lost = error
            if not error.status:  # it is gone
                break
            # It has ended the call for it, instead of an answer that says so.
            server.call(method)
            continue
        for data in answer.files:
            size += len(data)
            try:
                file = FileDescriptorProto.FromString(data)
            except DecodeError:
                lost = _NoAnswerError("what it sends is no descriptor")
                continue
            files[_in_bytes(file.name)] = file
            for imported in map(_in_bytes, file.dependency):
                if imported not in asked:
                    asked.add(imported)
                    wanted.append((_FILE_BY_FILENAME, imported))
        if len(asked) > MAX_FILES or size > MAX_SIZE:
            raise _NoAnswerError(f"more than {MAX_FILES} files or {MAX_SIZE} bytes of them")
    if not files:
        raise lost
    return FileDescriptorSet(file=files.values())


def _in_bytes(name: str | bytes) -> bytes:
    # protobuf gives a name that is not UTF-8 as bytes.
    return name if isinstance(name, bytes) else name.encode()


def _read(data: bytes) -> _Answer:
    """Read a `ServerReflectionResponse`, without the stubs of grpcio-reflection.

    Raises:
        MalformedError: it is none.
    """
    # What it may answer is a oneof, of which the last one counts.
    number, content = 0, b""
    for field in fields(data):
        if field.number in (_FILE_DESCRIPTOR, _EXTENSION_NUMBERS, _SERVICES, _ERROR):
            if not isinstance(field.value, bytes) or field.kind != BYTES:
                raise MalformedError
            number, content = field.number, field.value
    within = _all_bytes(content, 1) if number in (_FILE_DESCRIPTOR, _SERVICES) else []
    if number == _SERVICES:
        names = [name for service in within for name in _all_bytes(service, 1)[-1:]]
        return _Answer(names, [])
    return _Answer([], within)


def _all_bytes(data: bytes, number: int) -> list[bytes]:
    return [
        field.value
        for field in fields(data)
        if field.number == number and isinstance(field.value, bytes)
    ]


class _Server:
    """A connection to the server, with one call at a time.

    Attributes:
        has_spoken: whether it has said anything.
    """

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
        self.has_spoken = False
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

    async def ask(self, request: bytes) -> _Answer:
        """Send a message of the call and wait for the next one.

        Raises:
            _NoAnswerError: there is none.
        """
        self._h2.send_data(self._stream, b"\0" + len(request).to_bytes(4, "big") + request)
        while not self._answers:
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()
            received = await self._reader.read(_READ_SIZE)
            if not received:
                raise _NoAnswerError("it has closed the connection")
            self.has_spoken = True
            for event in self._h2.receive_data(received):
                self._see(event)
        try:
            return _read(self._answers.pop(0))
        except MalformedError:
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
