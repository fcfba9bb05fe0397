"""What two HTTP/2 endpoints say to each other, read by a third who takes no part (RFC 9113).

Each side is a machine of its own, of three states; before the first one, a client says its preface:

    state     what may come                     goes on to
    first     SETTINGS                          frames
    frames    any frame but CONTINUATION        block, by a header block that is not whole
    block     CONTINUATION, on its stream       frames, at the end of the block

Each stream is another:

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

What nobody wants to be told of is not made, nor read if nothing else depends on it. Where streams
begin and end is always followed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import hpack
import msgspec

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
from mitm.wire.calls import (
    DETAILS,
    MessageTeller,
    error_details,
    request_readers,
    response_reader,
)
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

# Of a side; see above.
_State = Literal["first", "frames", "block"]

Kind = Literal["request", "informational", "response", "trailers", "trailers-only", "push"]

_OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}


class _HeaderBlock(msgspec.Struct):
    """A header block that is being received, and what its first frame said of it.

    Attributes:
        carrier: the stream on which its frames come.
        stream: the one that it speaks of.
        decoder: of all blocks of its sender; None if they are not read.
        end_stream: nothing comes behind it.
        promised: it is that of a promise.
        unfit: why its stream is not followed, "" if it is.
        fragments: those that have come before the last one.
        in_parts: what came before the fragments has been decoded.
    """

    carrier: int
    stream: int
    decoder: HeaderDecoder | None
    end_stream: bool
    promised: bool
    unfit: str
    fragments: bytearray | None = None
    in_parts: bool = False

    def add(self, fragment: bytes) -> None:
        """Take the next fragment.

        Raises:
            hpack.HPACKError: the block is malformed.
        """
        if self.decoder is None:
            return
        if self.fragments is None:
            self.fragments = bytearray()
        self.fragments += fragment
        if len(self.fragments) > MAX_HEADER_BLOCK:
            self.decoder.feed(bytes(self.fragments))
            self.fragments.clear()
            self.in_parts = True

    def end(self, fragment: bytes) -> HeaderBlock | None:
        """Take the last fragment, and say what the block says; None if it is not read.

        Raises:
            hpack.HPACKError: the block is malformed.
        """
        if self.decoder is None:
            return None
        if self.fragments is not None or len(fragment) > MAX_HEADER_BLOCK:
            self.add(fragment)
            fragment = bytes(self.fragments or b"")
        if self.in_parts:
            self.decoder.feed(fragment)
            return self.decoder.finish()
        return self.decoder.decode(fragment)


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
        self.decoder: HeaderDecoder | None = self.headers  # None once nobody needs what they say
        self.state: _State = "first"
        self.block: _HeaderBlock | None = None
        self.newest_stream = 0  # the highest number that it opened or promised
        self.announced = _Limits()
        self.unacknowledged: deque[_Limits] = deque()


class _Stream(msgspec.Struct):
    """An open stream: one call.

    Attributes:
        open: the directions that have not ended; a reader where they carry gRPC messages.
        method: its path.
        requested: the request's headers have come.
        answered: the final response's headers have come.
    """

    open: dict[Direction, MessageReader | None]
    method: str = ""
    requested: bool = False
    answered: bool = False

    def request(self, fields: dict[str, str], budget: Budget | None) -> None:
        """Take the headers of the request.

        Args:
            fields: name and value of each.
            budget: for its messages; None if they are not read.
        """
        self.requested = True
        self.method = fields.get(":path", "")[:METHOD_KEPT]
        if budget:
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
        self._left_out = frames.numbers(wanted.frames_left_out)
        self._asked = False  # the client has made a request
        self._teller = MessageTeller(connection, schema, wanted)
        self.failed = False
        self._reset()
        if upgrade:
            self._take_up(upgrade)

    def _take_up(self, upgrade: Upgrade) -> None:
        client, server = self._sides["client"], self._sides["server"]
        frame = RawFrame(frames.SETTINGS, 0, 0, upgrade.settings)
        self._settings("client", client, frame, 0)
        # The answer to the upgrade is the ACK (RFC 7540 section 3.2.1).
        ack = RawFrame(frames.SETTINGS, frames.ACK, 0, b"")
        self._settings("server", server, ack, 0)
        # The frame of them is still to come.
        client.state = "first"
        client.newest_stream = 1
        stream = self._streams[1] = _Stream({"server": None})
        stream.request(upgrade.fields, self._budget)
        self._has_asked()

    def _reset(self) -> None:
        self._sides: dict[Direction, _Side] = {"client": _Side(), "server": _Side()}
        self._streams: dict[int, _Stream] = {}
        self._budget = Budget() if self._wanted.messages else None
        self._preface_left = PREFACE
        self._begun: str | None = None  # what was told of a frame that is not complete
        self._nobodys = 0  # the stream of which it was told last that nobody has opened it

    @property
    def buffered(self) -> int:
        """Bytes held of frames, header blocks and messages that are not complete."""
        held = self._budget.used if self._budget else 0
        for side in self._sides.values():
            held += side.reader.buffered + side.headers.buffered
            held += len((side.block and side.block.fragments) or b"")
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
        side = self._sides[direction]
        for each in self._sides.values():
            each.headers.allowance += EXPANSION * len(data)
        try:
            if direction == "client" and self._preface_left:
                data = self._read_preface(data)
            for frame in side.reader.feed(data):
                if direction == "client":
                    self._begun = None
                # Almost all frames are DATA or HEADERS. On a stream, those keep the rules whatever
                # they hold; what that is is told below.
                type_ = frame.type
                is_control = type_ > frames.HEADERS
                if is_control or not frame.stream:
                    frames.check(frame)
                if type_ not in self._left_out or (direction == "client" and not self._asked):
                    yield Frame(
                        time=time,
                        connection=self._connection,
                        direction=direction,
                        stream=frame.stream,
                        type=frames.type_name(type_),
                        flags=frames.flag_names(type_, frame.flags),
                        length=len(frame.payload),
                        detail=frames.detail(frame) if is_control else "",
                    )
                if read := _READERS[side.state].get(type_):
                    yield from read(self, direction, side, frame, time)
                else:
                    _check_place(side.state, frame)
            if direction == "client" and not side.newest_stream:
                yield from self._partial_frame(time)
        except ProtocolError as error:
            self.failed = True
            self._reset()
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

    # What reads a frame, by its type and the state of its side. Each is given who has sent it, that
    # side, the frame, and when it came, in seconds since the epoch.

    def _first_settings(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        if frame.flags & frames.ACK:
            _check_place(side.state, frame)
        side.state = "frames"
        return self._settings(direction, side, frame, time)

    def _settings(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        """Follow what each side may send.

        A limit binds the other side from its ACK on, as it may not have seen the SETTINGS before
        that (RFC 9113 section 6.5.3, RFC 7541 section 4.2): until then the largest one holds.
        """
        sender, other = side, self._sides[_OTHER[direction]]
        if frame.flags & frames.ACK:
            # An ACK of nothing is harmless: no endpoint rejects it.
            if other.unacknowledged:
                # What is still unacknowledged may bind the sender already, if it allows more.
                possible = [other.unacknowledged.popleft(), *other.unacknowledged]
                sender.headers.max_table_size = max(limits.header_table for limits in possible)
                sender.reader.max_frame_size = max(limits.frame_size for limits in possible)
            return ()
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
        return ()

    def _headers(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        flags, stream = frame.flags, frame.stream
        unfit = ""
        if stream not in self._streams and self._is_idle(stream):
            if direction == "server" or stream % 2 == 0:
                unfit = f"{direction} opens stream {stream} (RFC 9113 sections 5.1.1 and 8.4)"
            else:
                side.newest_stream = stream
                unfit = self._open(stream, _Stream({"client": None, "server": None}))
        end_stream = flags & frames.END_STREAM != 0
        block = _HeaderBlock(stream, stream, side.decoder, end_stream, False, unfit)
        return self._fragment(direction, side, block, frame, time)

    def _promise(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        promised, unfit = frames.promised_stream(frame), ""
        if not promised:
            raise ProtocolError("a promise of stream 0 (RFC 9113 section 6.6)")
        if self._is_idle(frame.stream):
            unfit = _nobody_opened(frame)
        elif direction == "client" or promised % 2 or promised <= side.newest_stream:
            unfit = f"{direction} promises stream {promised} (RFC 9113 sections 5.1.1 and 8.4)"
        else:
            side.newest_stream = promised
            unfit = self._open(promised, _Stream({"server": None}))
        block = _HeaderBlock(frame.stream, promised, side.decoder, False, True, unfit)
        return self._fragment(direction, side, block, frame, time)

    def _continuation(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        assert side.block is not None
        if frame.stream != side.block.carrier:
            _check_place(side.state, frame)
        return self._fragment(direction, side, side.block, frame, time)

    def _reset_stream(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        stream = self._streams.pop(frame.stream, None)
        if stream is None:
            return self._not_open(direction, frame, time)
        for reader in stream.open.values():
            if reader:
                reader.close()
        return ()

    def _window_update(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        if frame.stream:
            return self._not_open(direction, frame, time)
        if not frames.uint31(frame.payload):
            raise ProtocolError("WINDOW_UPDATE by 0 (RFC 9113 section 6.9)")
        return ()

    def _data(
        self, direction: Direction, side: _Side, frame: RawFrame, time: float
    ) -> Iterable[Event]:
        flags, number = frame.flags, frame.stream
        stream = self._streams.get(number)
        if stream is None:
            return self._not_open(direction, frame, time)
        if direction not in stream.open:
            return ()
        if stream.open[direction] or flags & frames.PADDED:
            return self._content(direction, frame, stream, time)
        return self._end(direction, number, stream, time) if flags & frames.END_STREAM else ()

    # What frames are about: header blocks, streams, the messages on them.

    def _content(
        self, direction: Direction, frame: RawFrame, stream: _Stream, time: float
    ) -> Iterator[Event]:
        number, reader = frame.stream, stream.open[direction]
        try:
            data = frames.content(frame)
            if reader:
                yield from self._teller.read(direction, number, stream.method, reader, data, time)
        except StreamError as error:
            yield self._lose(direction, number, str(error), time)
        if frame.flags & frames.END_STREAM:
            yield from self._end(direction, number, stream, time)

    def _fragment(
        self,
        direction: Direction,
        side: _Side,
        block: _HeaderBlock,
        frame: RawFrame,
        time: float,
    ) -> Iterable[Event]:
        """Take what a frame holds of a header block; mostly, that is all of it."""
        fragment = frames.header_fragment(frame)
        try:
            if not frame.flags & frames.END_HEADERS:
                side.state, side.block = "block", block
                block.add(fragment)
                return ()
            side.state, side.block = "frames", None
            decoded = block.end(fragment)
        except hpack.HPACKError as error:
            raise ProtocolError(f"HPACK: {error} (RFC 7541)") from None
        return self._block(direction, block, decoded, time)

    def _block(
        self, direction: Direction, block: _HeaderBlock, decoded: HeaderBlock | None, time: float
    ) -> Iterable[Event]:
        """Take a header block that is complete; without what it says, if it was not read."""
        stream = self._streams.get(block.stream)
        if stream is None or block.unfit:
            return self._unfit_headers(direction, block, decoded, time)
        if direction not in stream.open:
            return ()
        events: list[Event] = []
        if decoded:
            kind = self._kind(direction, stream, block, decoded.fields)
            self._tell_headers(direction, block, kind, stream.method, decoded, time, events)
            if kind == "request" and self._wanted.messages:
                events += self._teller.get(block.stream, decoded.fields, time)
            if decoded.too_long:
                reason = f"header list longer than {MAX_HEADER_LIST} bytes"
                events.append(self._lose(direction, block.stream, reason, time))
        if block.end_stream:
            events += self._end(direction, block.stream, stream, time)
        return events

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
        if kind == "request":
            self._has_asked()
        elif not self._wanted.answers:
            return
        headers, fields = decoded.headers, decoded.fields
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
                details=error_details(headers, self._schema) if DETAILS in fields else None,
                truncated=decoded.left_out,
            )
        )

    def _has_asked(self) -> None:
        """Note that the client has made a request.

        Until then the server's header blocks are read, whoever wants them: if they cannot be,
        nothing of the connection is.
        """
        self._asked = True
        if not (self._wanted.answers or self._wanted.messages):
            self._sides["server"].decoder = None

    def _unfit_headers(
        self, direction: Direction, block: _HeaderBlock, decoded: HeaderBlock | None, time: float
    ) -> Iterable[Event]:
        """Tell of headers whose stream is not followed: what was read is evidence all the same.

        What comes late, on a stream that was reset, is not told. But a request is one.
        """
        fields = decoded.fields if decoded else {}
        unfit = block.unfit
        if not unfit and direction == "client" and ":method" in fields:
            unfit = f"client opens stream {block.stream} again (RFC 9113 section 5.1.1)"
        if not unfit:
            return ()
        kind: Kind = "request" if direction == "client" else "response"
        if block.promised:
            kind = "push"
        events: list[Event] = []
        if decoded:
            method = fields.get(":path", "")[:METHOD_KEPT]
            self._tell_headers(direction, block, kind, method, decoded, time, events)
        events.append(self._failure(direction, unfit, time, block.stream))
        return events

    def _lose(self, direction: Direction, number: int, reason: str, time: float) -> Event:
        """Read the messages of one direction of a stream no further."""
        stream = self._streams.get(number)
        if stream and (reader := stream.open.get(direction)):
            reader.close()
            stream.open[direction] = None
        return self._failure(direction, reason, time, number)

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
        if self._budget:
            stream.open[direction] = response_reader(stream.open[direction], fields, self._budget)
        return "trailers-only" if block.end_stream else "response"

    def _is_idle(self, stream: int) -> bool:
        """Whether a stream was never opened (RFC 9113 section 5.1.1): odd ones are the client's."""
        return stream > self._sides["client" if stream % 2 else "server"].newest_stream

    def _not_open(self, direction: Direction, frame: RawFrame, time: float) -> Iterable[Event]:
        """Take a frame of a stream that is over; or that nobody has opened, told once for a row."""
        if not self._is_idle(frame.stream) or frame.stream == self._nobodys:
            return ()
        self._nobodys = frame.stream
        return (self._failure(direction, _nobody_opened(frame), time, frame.stream),)

    def _open(self, number: int, stream: _Stream) -> str:
        """Follow a stream; why not, if there are too many."""
        if len(self._streams) >= MAX_STREAMS:
            return f"more than {MAX_STREAMS} streams open at once"
        self._streams[number] = stream
        return ""

    def _end(
        self, direction: Direction, number: int, stream: _Stream, time: float
    ) -> Iterable[Event]:
        """Take the end of one direction of a stream."""
        reader = stream.open.pop(direction)
        if not stream.open:
            del self._streams[number]
        if reader is None:
            return ()
        events: list[Event] = []
        try:
            for event in self._teller.finish(direction, number, stream.method, reader, time):
                events.append(event)
        except StreamError as error:
            events.append(self._failure(direction, str(error), time, number))
        reader.close()
        return events


def _nobody_opened(frame: RawFrame) -> str:
    return (
        f"{frames.type_name(frame.type)} on stream {frame.stream}, which nobody opened "
        "(RFC 9113 section 5.1)"
    )


def _check_place(state: _State, frame: RawFrame) -> None:
    """Hold a frame that nothing reads against the state of its side.

    Raises:
        ProtocolError: something else had to come.
    """
    if state == "frames" and frame.type != frames.CONTINUATION:
        return
    raise ProtocolError(f"{frames.type_name(frame.type)} {_OUT_OF_PLACE[state]}")


_OUT_OF_PLACE: dict[_State, str] = {
    "first": "before the first SETTINGS (RFC 9113 section 3.4)",
    "frames": "of nothing (RFC 9113 section 6.10)",
    "block": "inside a header block (RFC 9113 section 6.10)",
}

_Reader = Callable[[Http2Parser, Direction, _Side, RawFrame, float], Iterable[Event]]

_READERS: dict[_State, dict[int, _Reader]] = {
    "first": {frames.SETTINGS: Http2Parser._first_settings},
    "frames": {
        frames.DATA: Http2Parser._data,
        frames.HEADERS: Http2Parser._headers,
        frames.RST_STREAM: Http2Parser._reset_stream,
        frames.SETTINGS: Http2Parser._settings,
        frames.PUSH_PROMISE: Http2Parser._promise,
        frames.WINDOW_UPDATE: Http2Parser._window_update,
    },
    "block": {frames.CONTINUATION: Http2Parser._continuation},
}
