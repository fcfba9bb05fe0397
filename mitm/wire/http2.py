"""What two HTTP/2 endpoints say to each other, read by a third who takes no part (RFC 9113).

Each side is a machine of its own: preface (of the client alone), first SETTINGS, then any frames,
but within a header block nothing except its CONTINUATION frames. Each stream is another:

    idle ──▶ requested ──▶ answered        by the header blocks of its two directions
      │           │            │
      └───────────┴────────────┴──▶ over   when both directions have ended, or by a reset

What couples them: HPACK has one state for a whole direction, so that every block is decoded, also
of streams that are over; SETTINGS of one side are limits of the other's, from their ACK on; and
half-received messages of all streams share one budget.
"""

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

import hpack

from mitm.events import Direction, Event, Frame, Headers, ParseFailed, PartialFrame
from mitm.messages.schema import Schema
from mitm.wire import frames, grpc
from mitm.wire.calls import MessageTeller, error_details
from mitm.wire.frames import FrameReader, ProtocolError, RawFrame
from mitm.wire.grpc import Budget, MessageReader
from mitm.wire.header_blocks import HeaderDecoder, HeaderList

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4

# A header block, compressed, over all of its CONTINUATION frames. nghttp2 stops at 64 KiB as well
# (NGHTTP2_MAX_HEADERSLEN); gRPC's C core takes 16 KiB of metadata by default.
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

    __slots__ = ("carrier", "end_stream", "fragments", "promised", "stream")

    def __init__(self, frame: RawFrame, promised: int = 0) -> None:
        self.carrier = frame.stream  # its CONTINUATION frames come on this stream
        self.promised = bool(promised)
        self.stream = promised or frame.stream  # the one that it speaks of
        self.end_stream = not promised and bool(frame.flags & frames.END_STREAM)
        self.fragments = bytearray()


class _Limits(NamedTuple):
    """What one side's SETTINGS allow the other side to send (RFC 9113 section 6.5.2)."""

    header_table: int = 4096
    frame_size: int = frames.DEFAULT_MAX_FRAME_SIZE


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


class Http2Parser:
    """Reads both directions of one connection and tells what it sees; does nothing else.

    It never raises, whatever the bytes. At the first error that an endpoint would close the
    connection for, it says so once, forgets everything and reads no further.

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
        self._streams: dict[int, _Stream] = {}
        self._budget = Budget()
        self._preface_left = PREFACE
        self._begun: str | None = None  # what was told of a frame that is not complete

    @property
    def buffered(self) -> int:
        """Bytes held of frames, header blocks and messages that are not complete."""
        held = self._budget.used
        for side in self._sides.values():
            held += side.reader.buffered + (len(side.block.fragments) if side.block else 0)
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
            `ParseFailed`.
        """
        if self.failed:
            return
        events: list[Event] = []
        try:
            if direction == "client" and self._preface_left:
                data = self._read_preface(data)
            for frame in self._sides[direction].reader.feed(data):
                self._frame(direction, frame, time, events)
                yield from events
                events.clear()
            if direction == "client" and not self._sides["client"].newest_stream:
                yield from self._partial_frame(time)
        except ProtocolError as error:
            self.failed = True
            self._reset()
            yield from events
            yield ParseFailed(
                time=time, connection=self._connection, direction=direction, reason=str(error)
            )

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
        if type_ == frames.DATA:
            self._data(direction, frame, time, events)
        elif type_ == frames.HEADERS:
            self._start_headers(direction, frame)
        elif type_ == frames.PUSH_PROMISE:
            self._start_promise(direction, frame)
        elif type_ == frames.SETTINGS:
            self._settings(direction, frame)
        elif type_ == frames.RST_STREAM:
            self._must_not_be_idle(frame)
            self._forget(stream)
        elif type_ == frames.WINDOW_UPDATE:
            if stream:
                self._must_not_be_idle(frame)
            elif not frames.uint31(payload):
                raise ProtocolError("WINDOW_UPDATE by 0 (RFC 9113 section 6.9)")
        if side.block:
            self._continue_block(side.block, frame)
            if flags & frames.END_HEADERS:
                self._end_block(direction, time, events)

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
        side, stream = self._sides[direction], frame.stream
        if self._is_idle(stream):
            if direction == "server" or stream % 2 == 0:
                raise ProtocolError(
                    f"{direction} opens stream {stream} (RFC 9113 sections 5.1.1 and 8.4)"
                )
            side.newest_stream = stream
            self._open(stream, _Stream())
        side.block = _HeaderBlock(frame)

    def _start_promise(self, direction: Direction, frame: RawFrame) -> None:
        side = self._sides[direction]
        self._must_not_be_idle(frame)
        promised = frames.promised_stream(frame)
        if direction == "client" or promised % 2 or promised <= side.newest_stream:
            raise ProtocolError(
                f"{direction} promises stream {promised} (RFC 9113 sections 5.1.1 and 8.4)"
            )
        side.newest_stream = promised
        stream = _Stream()
        del stream.open["client"]
        self._open(promised, stream)
        side.block = _HeaderBlock(frame, promised)

    def _continue_block(self, block: _HeaderBlock, frame: RawFrame) -> None:
        block.fragments += frames.header_fragment(frame)
        if len(block.fragments) > MAX_HEADER_BLOCK:
            raise ProtocolError(f"header block longer than {MAX_HEADER_BLOCK} bytes")

    def _end_block(self, direction: Direction, time: float, events: list[Event]) -> None:
        side = self._sides[direction]
        block, side.block = side.block, None
        assert block is not None
        # Decoded even where nobody will see it: HPACK has one state for the whole direction.
        try:
            headers = side.headers.decode(bytes(block.fragments))
        except hpack.HPACKError as error:
            raise ProtocolError(f"HPACK: {error} (RFC 7541)") from None
        stream = self._streams.get(block.stream)
        if stream is None or (direction not in stream.open):
            return
        kind = self._kind(direction, stream, block, headers)
        events.append(
            Headers(
                time=time,
                connection=self._connection,
                direction=direction,
                stream=block.stream,
                kind=kind,
                method=stream.method,
                headers=headers,
                end_stream=block.end_stream,
                details=error_details(headers, self._schema) if block.end_stream else None,
            )
        )
        if block.end_stream:
            self._end(direction, block.stream, stream)

    def _kind(
        self,
        direction: Direction,
        stream: _Stream,
        block: _HeaderBlock,
        headers: HeaderList,
    ) -> Kind:
        """Which part of a call a header block is (RFC 9113 section 8.1), noted on its stream."""
        fields = dict(headers)
        if block.promised or (direction == "client" and not stream.requested):
            stream.requested = True
            stream.method = fields.get(":path", "")[:METHOD_KEPT]
            if framing := grpc.framing(fields.get("content-type", "")):
                for open_direction in stream.open:
                    stream.open[open_direction] = grpc.reader(framing, self._budget)
                if client := stream.open.get("client"):
                    client.encoding = fields.get("grpc-encoding", "")
            return "push" if block.promised else "request"
        if direction == "client" or stream.answered:
            return "trailers"
        if fields.get(":status", "").startswith("1"):
            return "informational"
        stream.answered = True
        if reader := stream.open[direction]:
            type_ = fields.get("content-type")
            framing = reader.framing if type_ is None else grpc.framing(type_)
            if framing != reader.framing:
                # A proxy's error page, say, which names its type: its content is no message.
                reader = stream.open[direction] = framing and grpc.reader(framing, self._budget)
            if reader:
                reader.encoding = fields.get("grpc-encoding", "")
        return "trailers-only" if block.end_stream else "response"

    def _data(
        self, direction: Direction, frame: RawFrame, time: float, events: list[Event]
    ) -> None:
        self._must_not_be_idle(frame)
        data = frames.content(frame)
        stream = self._streams.get(frame.stream)
        if stream is None or direction not in stream.open:
            return
        reader = stream.open[direction]
        if reader:
            for raw in reader.feed(data):
                events.append(
                    self._teller.event(
                        direction, frame.stream, stream.method, raw, reader.encoding, time
                    )
                )
        if frame.flags & frames.END_STREAM:
            self._end(direction, frame.stream, stream)

    def _is_idle(self, stream: int) -> bool:
        """Whether a stream was never opened (RFC 9113 section 5.1.1): odd ones are the client's."""
        return stream > self._sides["client" if stream % 2 else "server"].newest_stream

    def _must_not_be_idle(self, frame: RawFrame) -> None:
        if self._is_idle(frame.stream):
            raise ProtocolError(
                f"{frames.type_name(frame.type)} on stream {frame.stream}, which nobody opened "
                "(RFC 9113 section 5.1)"
            )

    def _open(self, number: int, stream: _Stream) -> None:
        if len(self._streams) >= MAX_STREAMS:
            raise ProtocolError(f"more than {MAX_STREAMS} streams open at once")
        self._streams[number] = stream

    def _end(self, direction: Direction, number: int, stream: _Stream) -> None:
        reader = stream.open.pop(direction)
        if reader:
            reader.close()
        if not stream.open:
            del self._streams[number]

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        for reader in stream.open.values() if stream else ():
            if reader:
                reader.close()


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
