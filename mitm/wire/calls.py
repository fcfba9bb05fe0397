"""What is told of a call, whichever version of HTTP carries it: messages and trailers as events.

Of gRPC, gRPC-Web and Connect, that is; of whatever else there is, nothing.
"""

from collections.abc import Iterable, Iterator

import msgspec

from mitm.events import EVERYTHING, Direction, Event, Headers, Message, Source, Wanted
from mitm.messages.room import FOR_THE_FIRST, NOT_READ, Room
from mitm.messages.schema import Schema
from mitm.messages.status import status_details
from mitm.wire import connect, grpc
from mitm.wire.compression import decompress
from mitm.wire.frames import StreamError
from mitm.wire.grpc import (
    MAX_MESSAGE_SIZE,
    TRUNCATED_SIZE,
    Budget,
    MessageReader,
    RawMessage,
    UnreadableError,
)
from mitm.wire.header_blocks import MAX_HEADER_LIST, HeaderList

# Nesting of JSON that is shown: as deep as Protocol Buffers are read (kDefaultRecursionLimit in
# protobuf).
_MAX_DEPTH = 100

# The trailer that says more of an error than its status.
DETAILS = "grpc-status-details-bin"

# Values in a message of JSON that is shown: so many take some 10 ms, for which the relay waits.
_MAX_VALUES = 50_000

# Which header says how the messages are compressed.
_ENCODINGS: dict[grpc.Framing, str] = {
    "connect": "connect-content-encoding",
    "unary": "content-encoding",
}


def request_readers(
    fields: dict[str, str], budget: Budget
) -> dict[Direction, MessageReader | None]:
    """What reads the messages of a call, by the headers of its request.

    Args:
        fields: name and value of each; pseudo-headers among them.
        budget: of the connection.
    """
    type_ = fields.get("content-type", "")
    framing = grpc.framing(type_)
    codec = grpc.codec(type_)
    if framing:
        client = grpc.reader(framing, codec, budget)
        server = grpc.reader(framing, codec, budget)
        client.encoding = fields.get(_ENCODINGS.get(framing, "grpc-encoding"), "")
        return {"client": client, "server": server}
    got = connect.get(fields.get(":method", ""), fields.get(":path", ""))
    if got:
        return {"client": None, "server": connect.UnaryReader(budget, got.codec)}
    # A JSON of Connect's is told from anybody else's by the version, which its clients send.
    media_type = grpc.media_type(type_)
    if media_type == "application/proto" or (
        media_type == "application/json" and "connect-protocol-version" in fields
    ):
        encoding = fields.get("content-encoding", "")
        return {
            "client": connect.UnaryReader(budget, codec, encoding),
            "server": connect.UnaryReader(budget, codec),
        }
    return {"client": None, "server": None}


def response_reader(
    asked: MessageReader | None, fields: dict[str, str], budget: Budget
) -> MessageReader | None:
    """What reads the messages of a response, by its headers.

    Args:
        asked: what would read them by the request; None if nothing would.
        fields: name and value of each; pseudo-headers among them.
        budget: of the connection.
    """
    # RFC 9110 sections 15.3.5 and 15.4.5: there is no content, be it that of an empty message.
    if asked is None or fields.get(":status") in ("204", "304"):
        return None
    type_ = fields.get("content-type")
    if type_ is None and asked.framing == "unary":
        # What names no type is no answer of Connect's.
        return None
    if type_ is None:
        reader = asked
    elif framing := grpc.framing(type_):
        reader = grpc.reader(framing, grpc.codec(type_), budget)
    elif asked.framing in ("unary", "connect") and grpc.media_type(type_) in (
        "application/proto",
        "application/json",
    ):
        reader = connect.UnaryReader(budget, grpc.codec(type_))
        reader.error = fields.get(":status") != "200"
    else:
        # A proxy's error page, say, which names its type: its content is no message.
        return None
    encoding = fields.get(_ENCODINGS.get(reader.framing, "grpc-encoding"), "")
    reader.encoding = "" if encoding.lower() == "identity" else encoding
    return reader


class MessageTeller:
    """Makes events of the messages of one connection.

    Args:
        connection: its number, for the events.
        schema: descriptors for the messages.
        wanted: which events are to be made. Where messages are not, there is nothing to tell.
    """

    def __init__(self, connection: int, schema: Schema, wanted: Wanted = EVERYTHING) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._room = Room(FOR_THE_FIRST)
        # Two of the longest messages, and after that in proportion to what came.
        self._unpacked = Room(2 * MAX_MESSAGE_SIZE)

    def read(
        self,
        direction: Direction,
        stream: int,
        method: str,
        reader: MessageReader,
        data: bytes,
        time: float,
    ) -> Iterable[Event]:
        """Read the next content of a call, and give the events of the messages that it completes.

        Args:
            direction: who sent it.
            stream: see `mitm.events.Message`.
            method: path of the call.
            reader: of the call's messages in this direction.
            data: the content.
            time: when it came, in seconds since the epoch.

        Raises:
            StreamError: it cannot be read on; raised once what came before that has been given.
        """
        error = None
        try:
            messages = reader.feed(data)
        except UnreadableError as unreadable:
            messages, error = unreadable.before, unreadable
        if len(messages) == 1 and not (messages[0].trailers or error):
            return (self.event(direction, stream, method, messages[0], reader, time),)
        return self._told(direction, stream, method, messages, reader, time, error)

    def finish(
        self, direction: Direction, stream: int, method: str, reader: MessageReader, time: float
    ) -> Iterable[Event]:
        """Give the events of messages that only the end of the content completes.

        Args:
            direction: who sent it.
            stream: see `mitm.events.Message`.
            method: path of the call.
            reader: of the call's messages in this direction.
            time: when the end came, in seconds since the epoch.

        Raises:
            StreamError: it does not end where it could, be it once it is run through.
        """
        messages = reader.finish()
        return self._told(direction, stream, method, messages, reader, time) if messages else ()

    def _told(
        self,
        direction: Direction,
        stream: int,
        method: str,
        messages: list[RawMessage],
        reader: MessageReader,
        time: float,
        error: UnreadableError | None = None,
    ) -> Iterator[Event]:
        for message in messages:
            if message.trailers:
                yield from self._web_trailers(direction, stream, method, message, reader, time)
            else:
                yield self.event(direction, stream, method, message, reader, time)
        if error:
            raise error

    def get(self, stream: int, fields: dict[str, str], time: float) -> Iterable[Message]:
        """Give the event of a message that is in the query of its request (Connect), if one is.

        Args:
            stream: see `mitm.events.Message`.
            fields: headers of the request.
            time: when it came, in seconds since the epoch.
        """
        path = fields.get(":path", "")
        got = connect.get(fields.get(":method", ""), path)
        if got is None:
            return ()
        reader = MessageReader(Budget(), "unary", got.codec)
        reader.encoding = got.encoding
        return (self.event("client", stream, path, got.message, reader, time),)

    def event(
        self,
        direction: Direction,
        stream: int,
        method: str,
        message: RawMessage,
        reader: MessageReader,
        time: float,
    ) -> Message:
        """The event for a message.

        Args:
            direction: who sent it.
            stream: see `mitm.events.Message`.
            method: path of the call.
            message: as it was sent.
            reader: what has read it.
            time: when it came, in seconds since the epoch.
        """
        method = method.partition("?")[0]
        self._room.add(message.size)
        self._unpacked.add(message.size)
        data: bytes | None = message.data
        truncated = message.truncated
        decompressed_size = None
        if message.compressed:
            limit = min(MAX_MESSAGE_SIZE, self._unpacked.left)
            data = _decompressed(message, reader.encoding, limit)
            if data is not None:
                decompressed_size = len(data)
                truncated = decompressed_size > limit
                self._unpacked.left -= decompressed_size
        own = not (reader.error or message.end)
        source: Source | None
        if data is None or truncated:
            raw: bytes | None = message.data if data is None else data[:TRUNCATED_SIZE]
            type_, value, source = self._schema.type_name(method, direction), None, None
        elif reader.codec == "json" or not own:
            type_, value = self._schema.type_name(method, direction), json_value(data)
            raw = data if value is None or NOT_READ in value else None
            source = None if value is None else "json"
        else:
            type_, value, raw, source = self._schema.decode(method, direction, data, self._room)
        if not own:
            type_ = connect.END_OF_STREAM if message.end else ""
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
            encoding=reader.encoding if message.compressed else "",
            decompressed_size=decompressed_size,
        )

    def _web_trailers(
        self,
        direction: Direction,
        stream: int,
        method: str,
        message: RawMessage,
        reader: MessageReader,
        time: float,
    ) -> Iterator[Headers]:
        data = _decompressed(message, reader.encoding, MAX_HEADER_LIST)
        if data is None or len(data) > MAX_HEADER_LIST:
            raise StreamError("gRPC-Web trailers that cannot be read")
        headers, wrong = header_lines(data)
        if self._wanted.answers:
            yield Headers(
                time=time,
                connection=self._connection,
                direction=direction,
                stream=stream,
                kind="trailers",
                method=method,
                headers=headers,
                details=error_details(headers, self._schema),
            )
        if wrong:
            raise StreamError(f"gRPC-Web trailers with {wrong}")


def _decompressed(message: RawMessage, encoding: str, limit: int) -> bytes | None:
    """What a message says without its compression; None if that cannot be had.

    Args:
        message: as it was sent.
        encoding: how it is compressed.
        limit: see `decompress`.
    """
    if not message.compressed:
        return message.data
    return None if message.truncated else decompress(encoding, message.data, limit)


def json_value(data: bytes) -> dict[str, object] | None:
    """What a message in JSON says; None if it is none (RFC 8259), or too deep.

    What is no object is the one member `value`, as Protocol Buffers have it in an `Any`. Of what
    has very many values it is only told how long it is.
    """
    # Each value but the first comes behind one of these; those in texts are counted as well.
    if len(data) - len(data.translate(None, b",[{")) > _MAX_VALUES:
        return {NOT_READ: len(data)}
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if data.count(b"[") + data.count(b"{") <= _MAX_DEPTH:
        return value if isinstance(value, dict) else {"value": value}
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value if isinstance(value, dict) else {"value": value}
    return None


def error_details(headers: HeaderList, schema: Schema) -> dict[str, object] | None:
    """What the trailers of a call say of its error beyond its status, as JSON."""
    for name, value in headers:
        if name == DETAILS:
            return status_details(value, schema)
    return None


def header_lines(data: bytes) -> tuple[HeaderList, str]:
    """Headers as HTTP/1.1 writes them (RFC 9112 section 5), their names in lower case.

    Returns:
        The headers, and what is wrong with the lines that are left out; "" for nothing.
    """
    headers: list[tuple[str, list[str]]] = []
    wrong = ""
    for line in data.decode("utf-8", "backslashreplace").split("\n"):
        if not (line := line.rstrip("\r")):
            continue
        if line[0] in " \t" and headers:
            # It goes on with the line before (RFC 9112 section 5.2).
            headers[-1][1].append(line.strip(" \t"))
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            wrong = "a header line without a name (RFC 9112 section 5)"
            continue
        headers.append((name.lower(), [value.strip(" \t")]))
    return tuple((name, " ".join(values)) for name, values in headers), wrong
