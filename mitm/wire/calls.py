"""What is told of a call, whichever version of HTTP carries it: messages and trailers as events."""

from mitm.events import Direction, Headers, Message
from mitm.messages.schema import Schema
from mitm.messages.status import status_details
from mitm.wire.compression import decompress
from mitm.wire.frames import ProtocolError
from mitm.wire.grpc import MAX_MESSAGE_SIZE, TRUNCATED_SIZE, RawMessage
from mitm.wire.header_blocks import MAX_HEADER_LIST, HeaderList


class MessageTeller:
    """Makes events of the messages of one connection.

    Args:
        connection: its number, for the events.
        schema: descriptors for the messages.
    """

    def __init__(self, connection: int, schema: Schema) -> None:
        self._connection = connection
        self._schema = schema

    def event(
        self,
        direction: Direction,
        stream: int,
        method: str,
        message: RawMessage,
        encoding: str,
        time: float,
    ) -> Message | Headers:
        """The event for a message.

        Args:
            direction: who sent it.
            stream: see `mitm.events.Message`.
            method: path of the call.
            message: as it was sent.
            encoding: its `grpc-encoding`.
            time: when it came, in seconds since the epoch.

        Raises:
            ProtocolError: trailers of gRPC-Web are not such.
        """
        data: bytes | None = message.data
        truncated = message.truncated
        decompressed_size: int | None = None
        if message.compressed:
            data = None if truncated else decompress(encoding, message.data, MAX_MESSAGE_SIZE)
            if data is not None:
                decompressed_size = len(data)
                truncated = decompressed_size > MAX_MESSAGE_SIZE
        else:
            encoding = ""
        if message.trailers:
            return self._web_trailers(direction, stream, method, data, time)
        if data is None or truncated:
            raw: bytes | None = message.data if data is None else data[:TRUNCATED_SIZE]
            type_, value, source = self._schema.type_name(method, direction), None, None
        else:
            type_, value, raw, source = self._schema.decode(method, direction, data)
        return Message(
            time=time,
            connection=self._connection,
            direction=direction,
            stream=stream,
            method=method,
            type=type_,
            size=message.size,
            compressed=message.compressed,
            value=value,
            raw=raw,
            truncated=truncated,
            decoded_by=source or "",
            encoding=encoding,
            decompressed_size=decompressed_size,
        )

    def _web_trailers(
        self, direction: Direction, stream: int, method: str, data: bytes | None, time: float
    ) -> Headers:
        if data is None or len(data) > MAX_HEADER_LIST:
            raise ProtocolError("gRPC-Web trailers that cannot be read")
        headers = header_lines(data)
        return Headers(
            time=time,
            connection=self._connection,
            direction=direction,
            stream=stream,
            kind="trailers",
            method=method,
            headers=headers,
            details=error_details(headers, self._schema),
        )


def error_details(headers: HeaderList, schema: Schema) -> dict[str, object] | None:
    """What the trailers of a call say of its error beyond its status, as JSON."""
    for name, value in headers:
        if name == "grpc-status-details-bin":
            return status_details(value, schema)
    return None


def header_lines(data: bytes) -> HeaderList:
    """Headers as HTTP/1.1 writes them (RFC 9112 section 5), their names in lower case.

    Raises:
        ProtocolError: a line is none.
    """
    headers = []
    for line in data.decode("utf-8", "backslashreplace").split("\n"):
        if not (line := line.rstrip("\r")):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("a header line without a name (RFC 9112 section 5)")
        headers.append((name.lower(), value.strip(" \t")))
    return tuple(headers)
