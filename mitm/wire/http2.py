"""What two HTTP/2 endpoints say to each other, read by a third who takes no part (RFC 9113).

Each side is a machine of its own: preface (of the client alone), first SETTINGS, then any frames,
but within a header block nothing except its CONTINUATION frames. Each stream is another:

    idle ──▶ requested ──▶ answered        by the header blocks of its two directions
      │           │            │
      └───────────┴────────────┴──▶ over   when both directions have ended, or by a reset

What couples them: HPACK has one state for a whole direction, so that every block is decoded, also
of streams that are over; SETTINGS of one side are limits of the other's, from their ACK on; and
half-received messages of all streams share one budget.

What is odd in one stream costs that stream: its messages in that direction are read no further, and
an event says so. Its header blocks are decoded all the same, and told. Where frames cannot be told
apart, header blocks cannot be decoded, or an endpoint would give up the connection for what is the
connection's own, nothing more is read.
"""

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

import hpack

from mitm.events import (
    EVERYTHING,
    Direction,
    Event,
    Frame,
    Headers,
    ParseFailed,
    PartialFrame,
    Wanted,
)
from mitm.messages.schema import Schema
from mitm.wire import frames
from mitm.wire.calls import MessageTeller, error_details, request_readers, response_reader
from mitm.wire.frames import FrameReader, ProtocolError, RawFrame, StreamError
from mitm.wire.grpc import Budget, MessageReader
from mitm.wire.header_blocks import EXPANSION, MAX_HEADER_LIST, HeaderBlock, HeaderDecoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4

# What ALPN calls it (RFC 9113 section 3.2). gRPC's C core used to prefer a name of its own; grpcio
# 1.60 still does.
PROTOCOLS = ("h2", "grpc-exp")

# How much of a header block, compressed, is gathered over its CONTINUATION frames: nghttp2 stops
# there (NGHTTP2_MAX_HEADERSLEN), and gRPC's C core takes 16 KiB of metadata by default. A longer
# one is decoded in parts, for the sake of HPACK's state.
MAX_HEADER_BLOCK = 64 * 1024

# A peer may announce a table of 4 GiB. Browsers announce 64 KiB, gRPC's C core 4 KiB; nghttp2 as
# an encoder uses 4 KiB however much it is offered.
MAX_HEADER_TABLE = 1024 * 1024

# Streams open at once. RFC 9113 section 6.5.2 asks endpoints to allow 100 at least; nginx takes
# 128, Go's net/http 250; gRPC servers set no limit by default.
MAX_STREAMS = 10_000

# SETTINGS that wait for their ACK. Endpoints send one or two; nghttp2 takes 1000 before it closes
# (NGHTTP2_DEFAULT_MAX_OBQ_FLOOD_ITEM), which guards its memory alone: here each costs time too.
MAX_UNACKNOWLEDGED = 100

# A stream remembers its path for the events to come; a path is as long as a header list may be,
# and gRPC's are the names of a service and a method.
METHOD_KEPT = 1024

Kind = Literal["request", "informational", "response", "trailers", "trailers-only", "push"]

_OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}


class _HeaderBlock:
    """A header block that is being received, and what its first frame said of it."""

    __slots__ = ("carrier", "end_stream", "fragments", "in_parts", "promised", "stream", "unfit")

    def __init__(self, frame: RawFrame, promised: int = 0, unfit: str = "") -> None:
        self.carrier = frame.stream  # its CONTINUATION frames come on this stream
        self.promised = bool(promised)
        self.stream = promised or frame.stream  # the one that it speaks of
        self.end_stream = not promised and bool(frame.flags & frames.END_STREAM)
        self.unfit = unfit  # why its stream is not followed
        self.fragments = bytearray()
        self.in_parts = False  # what came before the fragments has been decoded


class _Limits(NamedTuple):
    """What one side's SETTINGS allow the other side to send (RFC 9113 section 6.5.2)."""

    header_table: int = 4096
    frame_size: int = frames.DEFAULT_MAX_FRAME_SIZE


class Upgrade(NamedTuple):
    """A request of HTTP/1.1 that is answered in HTTP/2, on stream 1 (RFC 7540 section 3.2).

    Attributes:
        fields: name and value of its headers, `:path` among them.
        settings: the client's, as in the payload of SETTINGS.
    """

    fields: dict[str, str]
    settings: bytes


class _Side:
    """What one side of the connection has sent so far."""

    def __init__(self) -> None:
        self.reader = FrameReader()
        self.headers = HeaderDecoder()
        self.block: _HeaderBlock | None = None
        self.started = False  # its first SETTINGS have come
        self.newest_stream = 0  # the highest number that it opened or promised
        self.announced = _Limits()
        self.unacknowledged: deque[_Limits] = deque()


class _Stream:
    """An open stream: one call."""

    __slots__ = ("answered", "method", "open", "requested")

    def __init__(self) -> None:
        self.method = ""
        self.requested = False  # the request's headers have come
        self.answered = False  # the final response's headers have come
        # The directions that have not ended; a reader where they carry gRPC messages.
        self.open: dict[Direction, MessageReader | None] = {"client": None, "server": None}

    def request(self, fields: dict[str, str], budget: Budget) -> None:
        """Take the headers of the request."""
        self.requested = True
        self.method = fields.get(":path", "")[:METHOD_KEPT]
        readers = request_readers(fields, budget)
        for direction in self.open:
            self.open[direction] = readers[direction]


class Http2Parser:
    """Reads both directions of one connection and tells what it sees; does nothing else.

    It never raises, whatever the bytes. At the first error that is not a stream's alone it says so
    once, forgets everything and reads no further.

    Args:
        connection: number of the connection, for the events.
        schema: descriptors for the messages.
        upgrade: the request with which the connection has come over from HTTP/1.1.
        wanted: which events are to be made.

    Attributes:
        failed: whether it has given up.

    Raises:
        ProtocolError: the settings of the upgrade are none.
    """

    def __init__(
        self,
        connection: int,
        schema: Schema,
        upgrade: Upgrade | None = None,
        *,
        wanted: Wanted = EVERYTHING,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._teller = MessageTeller(connection, schema)
        self.failed = False
        self._reset()
        if upgrade:
            self._take_up(upgrade)

    def _take_up(self, upgrade: Upgrade) -> None:
        payload = upgrade.settings
        frame = RawFrame(frames.SETTINGS, 0, 0, payload)
        self._settings("client", frame)
        # The answer to the upgrade is the ACK (RFC 7540 section 3.2.1).
        self._settings("server", frame._replace(flags=frames.ACK, payload=b""))
        # The frame of them is still to come.
        self._sides["client"].started = False
        self._sides["client"].newest_stream = 1
        stream = self._streams[1] = _Stream()
        stream.request(upgrade.fields, self._budget)
        del stream.open["client"]

    def _reset(self) -> None:
        self._sides: dict[Direction, _Side] = {"client": _Side(), "server": _Side()}
        self._streams: dict[int, _Stream] = {}
        self._budget = Budget()
        self._preface_left = PREFACE
        self._begun: str | None = None  # what was told of a frame that is not complete
        self._nobodys = 0  # the stream of which it was told last that nobody has opened it

    @property
    def buffered(self) -> int:
        """Bytes held of frames, header blocks and messages that are not complete."""
        held = self._budget.used
        for side in self._sides.values():
            held += side.reader.buffered + side.headers.buffered
            held += len(side.block.fragments) if side.block else 0
        return held

    @property
    def open_streams(self) -> int:
        """How many streams are being followed."""
        return len(self._streams)

    def feed(self, direction: Direction, data: bytes, time: float) -> Iterator[Event]:
        """Take the next bytes of one direction, cut anywhere.

        Events are given as they come up, not gathered: a header list of 64 KiB takes one byte
        where HPACK's table holds it. The iterator must be run to its end before the next call.

        Args:
            direction: who sent them.
            data: the bytes, decrypted.
            time: when they came, in seconds since the epoch.

        Yields:
            The events that these bytes complete, in the order of the wire; nothing after a
            `ParseFailed` of the connection.
        """
        if self.failed:
            return
        events: list[Event] = []
        for side in self._sides.values():
            side.headers.allowance += EXPANSION * len(data)
        try:
            if direction == "client" and self._preface_left:
                data = self._read_preface(data)
            for frame in self._sides[direction].reader.feed(data):
                if direction == "client":
                    self._begun = None
                self._frame(direction, frame, time, events)
                yield from events
                events.clear()
                if frame.type == frames.DATA:
                    yield from self._data(direction, frame, time)
            if direction == "client" and not self._sides["client"].newest_stream:
                yield from self._partial_frame(time)
        except ProtocolError as error:
            self.failed = True
            self._reset()
            yield from events
            yield self._failure(direction, str(error), time)

    def _partial_frame(self, time: float) -> Iterator[Event]:
        """Tell what has come of a client's frame while it has made no request yet."""
        reader = self._sides["client"].reader
        begun = None
        if reader.buffered:
            begun = "" if reader.begun is None else frames.type_name(reader.begun)
        # Once when it begins, and once when its type is there: it may come byte by byte.
        if begun is not None and begun != self._begun:
            yield PartialFrame(
                time=time, connection=self._connection, type=begun, received=reader.buffered
            )
        self._begun = begun

    def _read_preface(self, data: bytes) -> bytes:
        expected = self._preface_left
        if not data.startswith(expected[: len(data)]):
            raise ProtocolError("not HTTP/2: no connection preface (RFC 9113 section 3.4)")
        self._preface_left = expected[len(data) :]
        return data[len(expected) :]

    def _frame(
        self, direction: Direction, frame: RawFrame, time: float, events: list[Event]
    ) -> None:
        type_, flags, stream, payload = frame
        frames.check(frame)
        events.append(
            Frame(
                time=time,
                connection=self._connection,
                direction=direction,
                stream=stream,
                type=frames.type_name(type_),
                flags=frames.flag_names(type_, flags),
                length=len(payload),
                detail=frames.detail(frame),
            )
        )
        side = self._sides[direction]
        _check_order(side, frame)
        if type_ == frames.HEADERS:
            self._start_headers(direction, frame)
        elif type_ == frames.PUSH_PROMISE:
            self._start_promise(direction, frame)
        elif type_ == frames.SETTINGS:
            self._settings(direction, frame)
        elif type_ == frames.RST_STREAM:
            if not self._is_nobodys(direction, frame, time, events):
                self._forget(stream)
        elif type_ == frames.WINDOW_UPDATE:
            if stream:
                self._is_nobodys(direction, frame, time, events)
            elif not frames.uint31(payload):
                raise ProtocolError("WINDOW_UPDATE by 0 (RFC 9113 section 6.9)")
        if side.block:
            try:
                self._continue_block(side, side.block, frame)
                if flags & frames.END_HEADERS:
                    self._end_block(direction, side.block, time, events)
            except hpack.HPACKError as error:
                raise ProtocolError(f"HPACK: {error} (RFC 7541)") from None

    def _settings(self, direction: Direction, frame: RawFrame) -> None:
        """Follow what each side may send.

        A limit binds the other side from its ACK on, as it may not have seen the SETTINGS before
        that (RFC 9113 section 6.5.3, RFC 7541 section 4.2): until then the largest one holds.
        """
        sender, other = self._sides[direction], self._sides[_OTHER[direction]]
        if frame.flags & frames.ACK:
            # An ACK of nothing is harmless: no endpoint rejects it.
            if other.unacknowledged:
                # What is still unacknowledged may bind the sender already, if it allows more.
                possible = [other.unacknowledged.popleft(), *other.unacknowledged]
                sender.headers.max_table_size = max(limits.header_table for limits in possible)
                sender.reader.max_frame_size = max(limits.frame_size for limits in possible)
            return
        sender.started = True
        table, size = sender.announced
        for setting, value in frames.settings(frame):
            if setting == frames.HEADER_TABLE_SIZE:
                table = min(value, MAX_HEADER_TABLE)
            elif setting == frames.MAX_FRAME_SIZE:
                size = value
        sender.announced = _Limits(table, size)
        sender.unacknowledged.append(sender.announced)
        if len(sender.unacknowledged) > MAX_UNACKNOWLEDGED:
            raise ProtocolError(f"more than {MAX_UNACKNOWLEDGED} SETTINGS without an ACK")
        other.headers.max_table_size = max(other.headers.max_table_size, table)
        other.reader.max_frame_size = max(other.reader.max_frame_size, size)

    def _start_headers(self, direction: Direction, frame: RawFrame) -> None:
        side, stream, unfit = self._sides[direction], frame.stream, ""
        if self._is_idle(stream):
            if direction == "server" or stream % 2 == 0:
                unfit = f"{direction} opens stream {stream} (RFC 9113 sections 5.1.1 and 8.4)"
            else:
                side.newest_stream = stream
                unfit = self._open(stream, _Stream())
        side.block = _HeaderBlock(frame, unfit=unfit)

    def _start_promise(self, direction: Direction, frame: RawFrame) -> None:
        side = self._sides[direction]
        promised, unfit = frames.promised_stream(frame), ""
        if not promised:
            raise ProtocolError("a promise of stream 0 (RFC 9113 section 6.6)")
        if self._is_idle(frame.stream):
            unfit = _nobody_opened(frame)
        elif direction == "client" or promised % 2 or promised <= side.newest_stream:
            unfit = f"{direction} promises stream {promised} (RFC 9113 sections 5.1.1 and 8.4)"
        else:
            side.newest_stream = promised
            stream = _Stream()
            del stream.open["client"]
            unfit = self._open(promised, stream)
        side.block = _HeaderBlock(frame, promised, unfit)

    def _continue_block(self, side: _Side, block: _HeaderBlock, frame: RawFrame) -> None:
        block.fragments += frames.header_fragment(frame)
        if len(block.fragments) > MAX_HEADER_BLOCK:
            side.headers.feed(bytes(block.fragments))
            block.fragments.clear()
            block.in_parts = True

    def _end_block(
        self, direction: Direction, block: _HeaderBlock, time: float, events: list[Event]
    ) -> None:
        side = self._sides[direction]
        side.block = None
        # Decoded even where nobody will see it: HPACK has one state for the whole direction.
        if block.in_parts:
            side.headers.feed(bytes(block.fragments))
            decoded = side.headers.finish()
        else:
            decoded = side.headers.decode(bytes(block.fragments))
        stream = self._streams.get(block.stream)
        if stream is None or block.unfit:
            self._tell_unfit(direction, block, decoded, time, events)
            return
        if direction not in stream.open:
            return
        kind = self._kind(direction, stream, block, dict(decoded.headers))
        self._tell_headers(direction, block, kind, stream.method, decoded, time, events)
        if kind == "request":
            events += self._teller.get(block.stream, dict(decoded.headers), time)
        if decoded.too_long:
            reason = f"header list longer than {MAX_HEADER_LIST} bytes"
            self._lose(direction, block.stream, reason, time, events)
        if block.end_stream:
            self._end(direction, block.stream, stream, time, events)

    def _tell_headers(
        self,
        direction: Direction,
        block: _HeaderBlock,
        kind: Kind,
        method: str,
        decoded: HeaderBlock,
        time: float,
        events: list[Event],
    ) -> None:
        headers = decoded.headers
        events.append(
            Headers(
                time=time,
                connection=self._connection,
                direction=direction,
                stream=block.stream,
                kind=kind,
                method=method,
                headers=headers,
                end_stream=block.end_stream,
                details=error_details(headers, self._schema),
                truncated=decoded.left_out,
            )
        )

    def _tell_unfit(
        self,
        direction: Direction,
        block: _HeaderBlock,
        decoded: HeaderBlock,
        time: float,
        events: list[Event],
    ) -> None:
        """Tell of headers whose stream is not followed: what was read is evidence all the same.

        What comes late, on a stream that was reset, is not told. But a request is one.
        """
        fields = dict(decoded.headers)
        unfit = block.unfit
        if not unfit and direction == "client" and ":method" in fields:
            unfit = f"client opens stream {block.stream} again (RFC 9113 section 5.1.1)"
        if not unfit:
            return
        kind: Kind = "request" if direction == "client" else "response"
        if block.promised:
            kind = "push"
        method = fields.get(":path", "")[:METHOD_KEPT]
        self._tell_headers(direction, block, kind, method, decoded, time, events)
        events.append(self._failure(direction, unfit, time, block.stream))

    def _lose(
        self, direction: Direction, number: int, reason: str, time: float, events: list[Event]
    ) -> None:
        """Read the messages of one direction of a stream no further."""
        stream = self._streams.get(number)
        if stream and (reader := stream.open.get(direction)):
            reader.close()
            stream.open[direction] = None
        events.append(self._failure(direction, reason, time, number))

    def _failure(self, direction: Direction, reason: str, time: float, stream: int = 0) -> Event:
        return ParseFailed(
            time=time,
            connection=self._connection,
            direction=direction,
            reason=reason,
            stream=stream,
        )

    def _kind(
        self,
        direction: Direction,
        stream: _Stream,
        block: _HeaderBlock,
        fields: dict[str, str],
    ) -> Kind:
        """Which part of a call a header block is (RFC 9113 section 8.1), noted on its stream."""
        if block.promised or (direction == "client" and not stream.requested):
            stream.request(fields, self._budget)
            return "push" if block.promised else "request"
        if direction == "client" or stream.answered:
            return "trailers"
        if fields.get(":status", "").startswith("1"):
            return "informational"
        stream.answered = True
        stream.open[direction] = response_reader(stream.open[direction], fields, self._budget)
        return "trailers-only" if block.end_stream else "response"

    def _data(self, direction: Direction, frame: RawFrame, time: float) -> Iterator[Event]:
        events: list[Event] = []
        stream = self._streams.get(frame.stream)
        if self._is_nobodys(direction, frame, time, events):
            yield from events
            return
        if stream is None or direction not in stream.open:
            return
        reader = stream.open[direction]
        try:
            data = frames.content(frame)
            if reader:
                number, method = frame.stream, stream.method
                yield from self._teller.read(direction, number, method, reader, data, time)
        except StreamError as error:
            self._lose(direction, frame.stream, str(error), time, events)
        if frame.flags & frames.END_STREAM:
            self._end(direction, frame.stream, stream, time, events)
        yield from events

    def _is_idle(self, stream: int) -> bool:
        """Whether a stream was never opened (RFC 9113 section 5.1.1): odd ones are the client's."""
        return stream > self._sides["client" if stream % 2 else "server"].newest_stream

    def _is_nobodys(
        self, direction: Direction, frame: RawFrame, time: float, events: list[Event]
    ) -> bool:
        """Whether a frame is of a stream that nobody has opened; told once for a row of them."""
        if not self._is_idle(frame.stream):
            return False
        if frame.stream != self._nobodys:
            self._nobodys = frame.stream
            events.append(self._failure(direction, _nobody_opened(frame), time, frame.stream))
        return True

    def _open(self, number: int, stream: _Stream) -> str:
        """Follow a stream; why not, if there are too many."""
        if len(self._streams) >= MAX_STREAMS:
            return f"more than {MAX_STREAMS} streams open at once"
        self._streams[number] = stream
        return ""

    def _end(
        self,
        direction: Direction,
        number: int,
        stream: _Stream,
        time: float,
        events: list[Event],
    ) -> None:
        reader = stream.open.pop(direction)
        if reader:
            try:
                for event in self._teller.finish(direction, number, stream.method, reader, time):
                    events.append(event)
            except StreamError as error:
                events.append(self._failure(direction, str(error), time, number))
            reader.close()
        if not stream.open:
            del self._streams[number]

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        for reader in stream.open.values() if stream else ():
            if reader:
                reader.close()


def _nobody_opened(frame: RawFrame) -> str:
    return (
        f"{frames.type_name(frame.type)} on stream {frame.stream}, which nobody opened "
        "(RFC 9113 section 5.1)"
    )


def _check_order(side: _Side, frame: RawFrame) -> None:
    """SETTINGS come first (RFC 9113 section 3.4), and nothing splits a header block (6.10)."""
    if not side.started and (frame.type != frames.SETTINGS or frame.flags & frames.ACK):
        raise ProtocolError(
            f"{frames.type_name(frame.type)} before the first SETTINGS (RFC 9113 section 3.4)"
        )
    if side.block is None:
        if frame.type == frames.CONTINUATION:
            raise ProtocolError("CONTINUATION of nothing (RFC 9113 section 6.10)")
    elif frame.type != frames.CONTINUATION or frame.stream != side.block.carrier:
        raise ProtocolError(
            f"{frames.type_name(frame.type)} inside a header block (RFC 9113 section 6.10)"
        )
