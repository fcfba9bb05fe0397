"""HTTP/1.1 (RFC 9112) as far as gRPC-Web and Connect need it, read by a third who takes no part.

A client may ask to go on in HTTP/2 (`Upgrade: h2c`, RFC 7540 section 3.2). What it says behind such
a request waits until that is answered; then the one parser or the other reads on.
"""

import base64
import re
from collections import deque
from collections.abc import Iterator

from mitm.events import EVERYTHING, Direction, Event, Headers, ParseFailed, Wanted
from mitm.messages.schema import Schema
from mitm.wire.calls import (
    MessageTeller,
    error_details,
    header_lines,
    request_readers,
    response_reader,
)
from mitm.wire.frames import ProtocolError, StreamError
from mitm.wire.grpc import Budget, MessageReader
from mitm.wire.header_blocks import MAX_HEADER_LIST, HeaderList
from mitm.wire.http2 import METHOD_KEPT, Http2Parser, Upgrade

# A request line, and what is not one yet.
_REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]*) (\S+) HTTP/1\.[01]\r?\n")
_UNFINISHED = re.compile(rb"([A-Z][A-Z-]*)?( [^\r\n]*)?\r?")

# How long a request line may be before a connection is taken for something else. RFC 9112 section 3
# asks for 8,000 bytes at least; Node.js takes 16 KiB of headers.
MAX_REQUEST_LINE = 16 * 1024

# Bytes by which a beginning is told; what comes behind them matters at the end of the line.
_TELLING = 64

# The method of HTTP/2's preface, and of nothing else (RFC 9113 section 11.6).
_PREFACE_METHOD = b"PRI "

# Requests without an answer yet (RFC 9112 section 9.3.2). Browsers do not send any, and servers
# answer them one after the other.
MAX_PIPELINED = 1000

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})( [^\r\n]*)?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?\r?\n")

# A length that some would take for one and others would not (RFC 9112 section 5.1): where the next
# message begins is anybody's guess.
_DOUBTFUL_LENGTH = re.compile(rb"(?im)^(content-length|transfer-encoding)[ \t]+:")


def opens(said: bytes | bytearray) -> bool | None:
    """Whether what a client says begins with a request line (RFC 9112 section 3).

    Args:
        said: its first bytes.

    Returns:
        None if that cannot be told yet.
    """
    if said.startswith(_PREFACE_METHOD):
        return False
    if b"\n" in said:
        return _REQUEST_LINE.match(said) is not None
    if len(said) > MAX_REQUEST_LINE or not _UNFINISHED.fullmatch(said[:_TELLING]):
        return False
    return None


class _WaitingError(ProtocolError):
    """The client's bytes break a rule that had to wait for the server's."""


class _Exchange:
    """A request and its response."""

    __slots__ = ("http_method", "number", "path", "readers", "upgrade")

    def __init__(self, number: int, http_method: str, path: str) -> None:
        self.number = number
        self.http_method = http_method
        self.path = path
        self.readers: dict[Direction, MessageReader | None] = {"client": None, "server": None}
        self.upgrade: dict[str, str] | None = None  # headers of a request that asks for HTTP/2


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

    It never raises, whatever the bytes. What is odd in one request or response costs its messages.
    Where it is not clear any more where the next one begins, it says so once and reads no further;
    when the connection goes over to another protocol than HTTP/2 it reads no further either.

    Args:
        connection: number of the connection, for the events.
        schema: descriptors for the messages.
        wanted: which events are to be made.

    Attributes:
        failed: whether it has given up.
    """

    def __init__(self, connection: int, schema: Schema, *, wanted: Wanted = EVERYTHING) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._teller = MessageTeller(connection, schema, wanted)
        self.failed = False
        self._http2: Http2Parser | None = None  # once the connection has gone over to HTTP/2
        self._reset()

    def _reset(self) -> None:
        self._sides: dict[Direction, _Side] = {"client": _Side(), "server": _Side()}
        self._waiting: deque[_Exchange] = deque()
        self._requests = 0
        self._budget = Budget()
        self._over = False
        self._asking = False  # the newest request asks for HTTP/2, and has no answer yet

    @property
    def buffered(self) -> int:
        """Bytes held of lines, headers and messages that are not complete."""
        if self._http2:
            return self._http2.buffered
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
            The events that these bytes complete; nothing after a `ParseFailed` of the connection.
        """
        if self._http2:
            yield from self._http2.feed(direction, data, time)
            return
        if self.failed or self._over:
            return
        try:
            yield from self._take(direction, data, time)
        except ProtocolError as error:
            self.failed = True
            self._reset()
            if isinstance(error, _WaitingError):
                direction = "client"
            yield self._failure(direction, str(error), time)

    def end(self, direction: Direction, time: float) -> Iterator[Event]:
        """Take the end of one direction, which may be that of a response (RFC 9112 section 6.3).

        Args:
            direction: whose.
            time: when it came, in seconds since the epoch.

        Yields:
            The events that it completes.
        """
        side = self._sides[direction]
        if side.body < 0 and side.exchange:
            yield from self._end(direction, side, time)

    def _take(self, direction: Direction, data: bytes, time: float) -> Iterator[Event]:
        side = self._sides[direction]
        side.buffer += data
        # Of a line that comes bit by bit nothing is looked at before its end.
        if (side.body or b"\n" in data) and not self._waits(direction, side):
            yield from self._read(direction, side, time)
        if len(side.buffer) + len(side.head) > MAX_HEADER_LIST:
            raise ProtocolError(f"headers longer than {MAX_HEADER_LIST} bytes")

    def _take_waiting(self, time: float) -> Iterator[Event]:
        """Read what the client has said while it had no answer: HTTP/1.1, or HTTP/2."""
        buffer = self._sides["client"].buffer
        waiting = bytes(buffer)
        buffer.clear()
        if self._http2:
            yield from self._http2.feed("client", waiting, time)
            return
        try:
            yield from self._take("client", waiting, time)
        except ProtocolError as error:
            raise _WaitingError(str(error)) from None

    def _waits(self, direction: Direction, side: _Side) -> bool:
        """Whether what the client says may be HTTP/2 already."""
        return direction == "client" and self._asking and side.exchange is None

    def _failure(self, direction: Direction, reason: str, time: float, stream: int = 0) -> Event:
        return ParseFailed(
            time=time,
            connection=self._connection,
            direction=direction,
            reason=reason,
            stream=stream,
        )

    def _lose(
        self, direction: Direction, exchange: _Exchange, reason: str, time: float
    ) -> Iterator[Event]:
        """Read the messages of one direction of an exchange no further."""
        if reader := exchange.readers[direction]:
            reader.close()
            exchange.readers[direction] = None
        yield self._failure(direction, reason, time, exchange.number)

    def _read(self, direction: Direction, side: _Side, time: float) -> Iterator[Event]:
        data = bytes(side.buffer)
        start = 0
        while start < len(data) and not self._over and not self._waits(direction, side):
            if self._http2:
                yield from self._http2.feed(direction, data[start:], time)
                start = len(data)
                break
            if side.body:
                stop = len(data) if side.body < 0 else min(len(data), start + side.body)
                if side.body > 0:
                    side.body -= stop - start
                yield from self._content(direction, side, data[start:stop], time)
                start = stop
                if not side.body and not side.chunked:
                    yield from self._end(direction, side, time)
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
            if _DOUBTFUL_LENGTH.search(head):
                raise ProtocolError("a length whose name ends in a space (RFC 9112 section 5.1)")
            headers, wrong = header_lines(head)
            if direction == "client":
                yield from self._request(side, first, headers, wrong, time)
            else:
                yield from self._response(side, first, headers, wrong, time)
        if len(side.head) > MAX_HEADER_LIST:
            raise ProtocolError(f"headers longer than {MAX_HEADER_LIST} bytes")

    def _request(
        self, side: _Side, line: bytes, headers: HeaderList, wrong: str, time: float
    ) -> Iterator[Event]:
        matched = _REQUEST_LINE.fullmatch(line)
        if not matched:
            raise ProtocolError("not a request line (RFC 9112 section 3)")
        method, path = (part.decode("utf-8", "backslashreplace") for part in matched.groups())
        if len(self._waiting) == MAX_PIPELINED:
            raise ProtocolError(f"more than {MAX_PIPELINED} requests without an answer")
        self._requests += 1
        exchange = _Exchange(self._requests, method, path[:METHOD_KEPT])
        self._waiting.append(exchange)
        body, unclear = _body_or_not(headers, 0)
        headers = ((":method", method), (":path", path), *headers)
        fields = dict(headers)
        if self._wanted.messages:
            exchange.readers = request_readers(fields, self._budget)
        if _asks_for_http2(fields):
            exchange.upgrade, self._asking = fields, True
        side.exchange, (side.body, side.chunked) = exchange, body
        yield from self._headers("client", exchange, "request", headers, time)
        if unclear:
            raise unclear
        if self._wanted.messages:
            yield from self._teller.get(exchange.number, fields, time)
        if wrong:
            yield from self._lose("client", exchange, wrong, time)
        if not side.body and not side.chunked:
            yield from self._end("client", side, time)

    def _response(
        self, side: _Side, line: bytes, headers: HeaderList, wrong: str, time: float
    ) -> Iterator[Event]:
        matched = _STATUS_LINE.fullmatch(line)
        if not matched:
            raise ProtocolError("not a status line (RFC 9112 section 4)")
        if not self._waiting:
            raise ProtocolError("a response to no request")
        exchange = self._waiting[0]
        status = int(matched[1])
        without = exchange.http_method == "HEAD" or status in (101, 204, 304)
        body, unclear = ((0, False), None) if without else _body_or_not(headers, -1)
        headers = ((":status", str(status)), *headers)
        if 100 <= status < 200:
            yield from self._headers("server", exchange, "informational", headers, time)
        if status == 101:
            self._go_over(exchange, dict(headers))
            if self._http2:
                yield from self._take_waiting(time)
        if 100 <= status < 200:
            return
        self._waiting.popleft()
        answered = exchange.upgrade is not None
        self._asking = self._asking and not answered
        # From here on it is another protocol (RFC 9110 section 9.3.6).
        self._over = exchange.http_method == "CONNECT" and 200 <= status < 300
        asked = exchange.readers["server"]
        exchange.readers["server"] = response_reader(asked, dict(headers), self._budget)
        if without:
            exchange.readers["server"] = None
        side.exchange, (side.body, side.chunked) = exchange, body
        yield from self._headers("server", exchange, "response", headers, time)
        if unclear:
            raise unclear
        if wrong:
            yield from self._lose("server", exchange, wrong, time)
        if not side.body and not side.chunked:
            yield from self._end("server", side, time)
        if answered and not self._over:
            yield from self._take_waiting(time)

    def _go_over(self, exchange: _Exchange, fields: dict[str, str]) -> None:
        """Another protocol begins (RFC 9110 section 15.2.2), which may be HTTP/2.

        Raises:
            ProtocolError: it is HTTP/2, and cannot be read.
        """
        asked, self._asking = exchange.upgrade, False
        if asked is None:
            self._over = True
            return
        if "h2c" not in _tokens(fields.get("upgrade", "")):
            raise ProtocolError("it goes over to another protocol than HTTP/2")
        settings = asked["http2-settings"]
        try:
            payload = base64.b64decode(settings + "=" * (-len(settings) % 4), b"-_", validate=True)
        except ValueError:
            raise ProtocolError("HTTP2-Settings that are none (RFC 7540 section 3.2.1)") from None
        self._http2 = Http2Parser(
            self._connection, self._schema, Upgrade(asked, payload), wanted=self._wanted
        )

    def _headers(
        self,
        direction: Direction,
        exchange: _Exchange,
        kind: str,
        headers: HeaderList,
        time: float,
    ) -> Iterator[Event]:
        if kind != "request" and not self._wanted.answers:
            return
        side = self._sides[direction]
        ends = kind != "informational" and not side.body and not side.chunked
        yield Headers(
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
        if reader := exchange.readers[direction]:
            number, path = exchange.number, exchange.path
            try:
                yield from self._teller.read(direction, number, path, reader, data, time)
            except StreamError as error:
                yield from self._lose(direction, exchange, str(error), time)

    def _chunked_end(self, direction: Direction, side: _Side, time: float) -> Iterator[Event]:
        trailers, wrong = header_lines(bytes(side.head))
        exchange = side.exchange
        assert exchange is not None
        side.head = bytearray()
        yield from self._end(direction, side, time)
        if trailers:
            yield from self._headers(direction, exchange, "trailers", trailers, time)
        if wrong:
            yield self._failure(direction, wrong, time, exchange.number)

    def _end(self, direction: Direction, side: _Side, time: float) -> Iterator[Event]:
        exchange = side.exchange
        assert exchange is not None
        side.exchange = None
        side.body, side.chunked, side.in_trailers = 0, False, False
        if reader := exchange.readers[direction]:
            number, path = exchange.number, exchange.path
            try:
                yield from self._teller.finish(direction, number, path, reader, time)
            except StreamError as error:
                yield self._failure(direction, str(error), time, number)
            reader.close()


def _tokens(value: str) -> list[str]:
    """The words of a list (RFC 9110 section 5.6.1), in lower case."""
    return [word.strip().lower() for word in value.split(",")]


def _asks_for_http2(fields: dict[str, str]) -> bool:
    return "h2c" in _tokens(fields.get("upgrade", "")) and "http2-settings" in fields


def _body_or_not(
    headers: HeaderList, without: int
) -> tuple[tuple[int, bool], ProtocolError | None]:
    """The same as `_body`, or why it is unclear: what stands before a body is told all the same."""
    try:
        return _body(headers, without), None
    except ProtocolError as error:
        return (-1, False), error


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
