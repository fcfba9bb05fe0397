"""HTTP/1.1 (RFC 9112) as far as gRPC-Web needs it, read by a third who takes no part."""

import re
from collections import deque
from collections.abc import Iterator

from mitm.events import Direction, Event, Headers, ParseFailed
from mitm.messages.schema import Schema
from mitm.wire import grpc
from mitm.wire.calls import MessageTeller, error_details, header_lines
from mitm.wire.frames import ProtocolError
from mitm.wire.grpc import Budget, MessageReader
from mitm.wire.header_blocks import MAX_HEADER_LIST, HeaderList

# A request line, and what is not one yet.
REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?\n")
UNFINISHED = re.compile(rb"[A-Z]*( [^\r\n]*)?\r?")

# Requests without an answer yet (RFC 9112 section 9.3.2). Browsers do not send any, and servers
# answer them one after the other.
MAX_PIPELINED = 1000

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})( [^\r\n]*)?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r?\n")


class _Exchange:
    """A request and its response."""

    __slots__ = ("http_method", "number", "path", "readers")

    def __init__(self, number: int, http_method: str, path: str) -> None:
        self.number = number
        self.http_method = http_method
        self.path = path
        self.readers: dict[Direction, MessageReader | None] = {"client": None, "server": None}


class _Side:
    """How far one side has come."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.first_line = b""
        self.head = bytearray()  # the header lines so far, or the trailers
        self.exchange: _Exchange | None = None  # whose body is being read
        self.body = 0  # bytes left of a body or of a chunk; -1: up to the end of the connection
        self.chunked = False
        self.in_trailers = False


class Http1Parser:
    """Reads both directions of one connection and tells what it sees; does nothing else.

    It never raises, whatever the bytes. At the first error it says so once and reads no further;
    when the connection goes over to another protocol it reads no further either.

    Args:
        connection: number of the connection, for the events.
        schema: descriptors for the messages.

    Attributes:
        failed: whether it has given up.
    """

    def __init__(self, connection: int, schema: Schema) -> None:
        self._connection = connection
        self._schema = schema
        self._teller = MessageTeller(connection, schema)
        self.failed = False
        self._reset()

    def _reset(self) -> None:
        self._sides: dict[Direction, _Side] = {"client": _Side(), "server": _Side()}
        self._waiting: deque[_Exchange] = deque()
        self._requests = 0
        self._budget = Budget()
        self._over = False

    @property
    def buffered(self) -> int:
        """Bytes held of lines, headers and messages that are not complete."""
        sides = self._sides.values()
        return self._budget.used + sum(len(s.buffer) + len(s.head) for s in sides)

    def feed(self, direction: Direction, data: bytes, time: float) -> Iterator[Event]:
        """Take the next bytes of one direction, cut anywhere.

        The iterator must be run to its end before the next call.

        Args:
            direction: who sent them.
            data: the bytes, decrypted.
            time: when they came, in seconds since the epoch.

        Yields:
            The events that these bytes complete; nothing after a `ParseFailed`.
        """
        if self.failed or self._over:
            return
        side = self._sides[direction]
        side.buffer += data
        try:
            # Of a line that comes bit by bit nothing is looked at before its end.
            if side.body or b"\n" in data:
                yield from self._read(direction, side, time)
            if len(side.buffer) + len(side.head) > MAX_HEADER_LIST:
                raise ProtocolError(f"headers longer than {MAX_HEADER_LIST} bytes")
        except ProtocolError as error:
            self.failed = True
            self._reset()
            yield ParseFailed(
                time=time, connection=self._connection, direction=direction, reason=str(error)
            )

    def _read(self, direction: Direction, side: _Side, time: float) -> Iterator[Event]:
        data = bytes(side.buffer)
        start = 0
        while start < len(data) and not self._over:
            if side.body:
                stop = len(data) if side.body < 0 else min(len(data), start + side.body)
                if side.body > 0:
                    side.body -= stop - start
                yield from self._content(direction, side, data[start:stop], time)
                start = stop
                if not side.body and not side.chunked:
                    self._end(direction, side)
                continue
            stop = data.find(b"\n", start) + 1
            if not stop:
                break
            yield from self._line(direction, side, data[start:stop], time)
            start = stop
        side.buffer = bytearray(data[start:])

    def _line(self, direction: Direction, side: _Side, line: bytes, time: float) -> Iterator[Event]:
        bare = line.rstrip(b"\r\n")
        if side.in_trailers:
            if bare:
                side.head += line
            else:
                yield from self._chunked_end(direction, side, time)
        elif side.chunked:
            if bare:  # an empty line ends the chunk before
                matched = _CHUNK_SIZE.fullmatch(line)
                if not matched:
                    raise ProtocolError("a chunk without a size (RFC 9112 section 7.1)")
                side.body = int(matched[1], 16)
                side.in_trailers = not side.body
        elif not side.first_line:
            side.first_line = line if bare else b""  # RFC 9112 section 2.2
        elif bare:
            side.head += line
        else:
            first, head = side.first_line, bytes(side.head)
            side.first_line, side.head = b"", bytearray()
            if direction == "client":
                yield self._request(side, first, header_lines(head), time)
            else:
                yield self._response(side, first, header_lines(head), time)
        if len(side.head) > MAX_HEADER_LIST:
            raise ProtocolError(f"headers longer than {MAX_HEADER_LIST} bytes")

    def _request(self, side: _Side, line: bytes, headers: HeaderList, time: float) -> Event:
        matched = REQUEST_LINE.fullmatch(line)
        if not matched:
            raise ProtocolError("not a request line (RFC 9112 section 3)")
        method, path = (part.decode("utf-8", "backslashreplace") for part in matched.groups())
        if len(self._waiting) == MAX_PIPELINED:
            raise ProtocolError(f"more than {MAX_PIPELINED} requests without an answer")
        self._requests += 1
        exchange = _Exchange(self._requests, method, path)
        self._waiting.append(exchange)
        exchange.readers["client"] = self._reader(dict(headers))
        side.exchange = exchange
        side.body, side.chunked = _body(headers, 0)
        headers = ((":method", method), (":path", path), *headers)
        return self._headers("client", exchange, "request", headers, time)

    def _response(self, side: _Side, line: bytes, headers: HeaderList, time: float) -> Event:
        matched = _STATUS_LINE.fullmatch(line)
        if not matched:
            raise ProtocolError("not a status line (RFC 9112 section 4)")
        if not self._waiting:
            raise ProtocolError("a response to no request")
        exchange = self._waiting[0]
        status = int(matched[1])
        headers = ((":status", str(status)), *headers)
        if 100 <= status < 200 and status != 101:
            return self._headers("server", exchange, "informational", headers, time)
        self._waiting.popleft()
        # From here on it is another protocol (RFC 9110 sections 9.3.6 and 15.2.2).
        self._over = status == 101 or (exchange.http_method == "CONNECT" and 200 <= status < 300)
        exchange.readers["server"] = self._reader(dict(headers))
        side.exchange = exchange
        if exchange.http_method == "HEAD" or status in (101, 204, 304):
            side.body, side.chunked = 0, False
        else:
            side.body, side.chunked = _body(headers, -1)
        return self._headers("server", exchange, "response", headers, time)

    def _reader(self, fields: dict[str, str]) -> MessageReader | None:
        framing = grpc.framing(fields.get("content-type", ""))
        if not framing:
            return None
        reader = grpc.reader(framing, self._budget)
        reader.encoding = fields.get("grpc-encoding", "")
        return reader

    def _headers(
        self,
        direction: Direction,
        exchange: _Exchange,
        kind: str,
        headers: HeaderList,
        time: float,
    ) -> Headers:
        side = self._sides[direction]
        ends = kind != "informational" and not side.body and not side.chunked
        if ends and kind != "trailers":
            self._end(direction, side)
        return Headers(
            time=time,
            connection=self._connection,
            direction=direction,
            stream=exchange.number,
            kind="trailers-only" if kind == "response" and ends else kind,  # type: ignore[arg-type]
            method=exchange.path,
            headers=headers,
            end_stream=ends,
            details=error_details(headers, self._schema),
        )

    def _content(
        self, direction: Direction, side: _Side, data: bytes, time: float
    ) -> Iterator[Event]:
        assert side.exchange is not None
        exchange = side.exchange
        reader = exchange.readers[direction]
        if reader:
            number, path = exchange.number, exchange.path
            for raw in reader.feed(data):
                yield self._teller.event(direction, number, path, raw, reader.encoding, time)

    def _chunked_end(self, direction: Direction, side: _Side, time: float) -> Iterator[Event]:
        trailers = header_lines(bytes(side.head))
        exchange = side.exchange
        assert exchange is not None
        side.head = bytearray()
        self._end(direction, side)
        if trailers:
            yield self._headers(direction, exchange, "trailers", trailers, time)

    def _end(self, direction: Direction, side: _Side) -> None:
        reader = side.exchange and side.exchange.readers[direction]
        if reader:
            reader.close()
        side.exchange = None
        side.body, side.chunked, side.in_trailers = 0, False, False


def _body(headers: HeaderList, without: int) -> tuple[int, bool]:
    """The length of a body, and whether it comes in chunks (RFC 9112 section 6.3).

    Args:
        headers: of the message.
        without: the length if they say nothing; -1 for all that comes.

    Raises:
        ProtocolError: they contradict themselves.
    """
    codings = [value.lower() for name, value in headers if name == "transfer-encoding"]
    if codings:
        chunked = codings[-1].rpartition(",")[2].strip() == "chunked"
        if not chunked and not without:
            raise ProtocolError("a request of unknown length (RFC 9112 section 6.3)")
        return (0, True) if chunked else (-1, False)
    lengths = {value for name, value in headers if name == "content-length"}
    if not lengths:
        return without, False
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise ProtocolError("content-length is not one number (RFC 9112 section 6.3)")
    return int(length), False
