"""The one mode in which the interceptor speaks HTTP/2 itself: messages are changed as they pass.

Without I/O: bytes of either peer in, bytes for both peers out. A changed message has another
length, and the windows of both sides count lengths, so that each side has an endpoint of its own.
Streams have the same numbers on both.

A call is there from its request on until both of its halves are over; each half is a machine:

    passing  content goes on as it comes: nothing is to be changed in it, or not in this message.
    holding  a message that is to be changed is on its way; it is kept until it is whole.
    ended    its sender has ended it, or the stream was reset, which ends both.

The sender moves a half, by what its endpoint has made of its bytes; `_may_hold` decides at the
first bytes of each message between the first two. The receiver's windows move nothing here: what
they do not take waits in the receiver's endpoint, and only once it has left there (`take_drained`)
is the sender told, by `_settle`, that it may send more. What is invariant: `owed` is what a sender
has sent and was not told of as taken, so that what is kept is bounded by its windows, and by
`MAX_HELD` for messages; and whatever is not changed is sent on as it came. Where a rule could have
applied to that, `_leave` says so, once a stream for each reason.
"""

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import h2.events
from google.protobuf.message import DecodeError

from mitm.events import EVERYTHING, Direction, Event, NotRewritten, Rewritten, Wanted
from mitm.messages import Schema
from mitm.messages.room import FOR_THE_FIRST, Room
from mitm.messages.rules import Changed, HeaderFields, Rules
from mitm.proxy.http2_endpoint import Http2Endpoint, PassedOn
from mitm.proxy.watcher import Watcher
from mitm.wire.compression import decompress
from mitm.wire.grpc import MAX_HELD, MAX_MESSAGE_SIZE, carries_grpc, codec

_OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}
_PREFIX = struct.Struct(">BL")
_OK = 0


class _Message(NamedTuple):
    """A message to be changed, whole."""

    compressed: bool
    data: bytes

    @property
    def as_sent(self) -> bytes:
        return _PREFIX.pack(self.compressed, len(self.data)) + self.data


class _Half:
    """One direction of a call.

    Args:
        direction: who sends.

    Attributes:
        type: of its messages, "" where they are to pass as they are.
        encoding: how its compressed messages are compressed.
        begun: content has come.
        owed: bytes of DATA that the sender has not been told of as taken.
        reserved: bytes of messages that are held, or were and wait for the receiver.
        ended: its sender has ended it.
    """

    def __init__(self, direction: Direction) -> None:
        self.direction: Direction = direction
        self.type = ""
        self.encoding = ""
        self.begun = False
        self.owed = 0
        self.reserved = 0
        self.ended = False
        self.holding = False
        self._prefix = bytearray()
        self._missing = 0
        self._held = bytearray()

    def feed(self, data: bytes, may_hold: Callable[[int, int], bool]) -> Iterator[bytes | _Message]:
        """Take content, and give it back in order: as it is, or as whole messages to be changed.

        Args:
            may_hold: asked with flag and length of each message whether to wait until it is whole.
        """
        start, end = 0, len(data)
        while start < end:
            if not self._missing:
                stop = start + _PREFIX.size - len(self._prefix)
                self._prefix += data[start:stop]
                start = stop
                if len(self._prefix) < _PREFIX.size:
                    return
                flag, self._missing = _PREFIX.unpack(self._prefix)
                self.holding = may_hold(flag, self._missing)
                if not self.holding:
                    yield bytes(self._prefix)
                    self._prefix.clear()
                elif not self._missing:
                    yield self._whole()
                continue
            stop = min(end, start + self._missing)
            self._missing -= stop - start
            if self.holding:
                self._held += data[start:stop]
                if not self._missing:
                    yield self._whole()
            else:
                yield data[start:stop]
            start = stop

    def _whole(self) -> _Message:
        message = _Message(self._prefix[0] == 1, bytes(self._held))
        self.rest()
        return message

    def rest(self) -> bytes:
        """What is held of a message that will not be completed."""
        rest = bytes(self._prefix + self._held)
        self._prefix.clear()
        self._held.clear()
        self.holding = False
        self._missing = 0
        return rest


class _Call:
    """A stream, from the request on until both directions have ended.

    Args:
        method: the call's path.

    Attributes:
        status: its status is to be changed.
        left: what was said of that which is left as it came.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.status = False
        self.left: set[str] = set()
        self.halves: dict[Direction, _Half] = {
            "client": _Half("client"),
            "server": _Half("server"),
        }


class Rewriting:
    """Stands between the two peers of a connection and changes what passes by the rules.

    Args:
        connection: number of the connection.
        encrypted: whether the client speaks TLS.
        schema: descriptors for the messages.
        rules: what is to be changed.
        on_event: called with each event: what either peer sent, and what was sent on in its place.
        wanted: which events that is to be; changes are always told.
    """

    def __init__(
        self,
        connection: int,
        *,
        encrypted: bool,
        schema: Schema,
        rules: Rules,
        on_event: Callable[[Event], None],
        wanted: Wanted = EVERYTHING,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._rules = rules
        self._on_event = on_event
        self._ends: dict[Direction, Http2Endpoint] = {
            "client": Http2Endpoint(client_side=False),
            "server": Http2Endpoint(client_side=True),
        }
        self._calls: dict[int, _Call] = {}
        self._held = 0
        self._unpacked = Room(2 * MAX_MESSAGE_SIZE)
        self._told = Room(FOR_THE_FIRST)
        self._changes: list[Callable[..., Event]] = []
        self._unwatched: deque[tuple[Direction, Direction, bytes]] = deque()

        def watcher(peer: Direction) -> Watcher:
            # Of each of the two conversations, what the peer says is told; what the interceptor
            # says is told as `Rewritten`.
            def see(event: Event) -> None:
                if getattr(event, "direction", peer) == peer:
                    on_event(event)

            return Watcher(
                connection,
                encrypted=encrypted,
                alpn="h2",
                schema=schema,
                on_event=see,
                wanted=wanted,
            )

        self._watchers: dict[Direction, Watcher] = {
            "client": watcher("client"),
            "server": watcher("server"),
        }

    @property
    def watcher(self) -> Watcher:
        """What looks at the conversation with the client."""
        return self._watchers["client"]

    def start(self) -> None:
        """Begin both conversations."""
        for end in self._ends.values():
            end.start()

    def receive(self, direction: Direction, data: bytes) -> None:
        """Take bytes of one peer; afterwards, `to_send` has what is due to both.

        Raises:
            BrokenError: the peer does not speak HTTP/2 properly. `to_send` says so to it.
        """
        self._unwatched.append((direction, direction, data))
        for event in self._ends[direction].receive(data):
            self._handle(direction, event)
        for peer in self._ends:
            for stream in self._ends[peer].take_drained():
                self._settle(stream, _OTHER[peer])
                self._forget_if_over(stream)

    def to_send(self) -> dict[Direction, bytes]:
        """Give the bytes that are due to each peer, once."""
        due = {peer: end.to_send() for peer, end in self._ends.items()}
        for peer, data in due.items():
            if data:
                self._unwatched.append((peer, _OTHER[peer], data))
        return due

    def waits_for(self, direction: Direction) -> bool:
        """Whether something waits until this peer takes it."""
        return self._ends[direction].waiting

    def tell(self) -> Iterator[None]:
        """Tell what has passed since the last time.

        Yields:
            After each event, so that others can have their turn.
        """
        while self._unwatched:
            leg, direction, data = self._unwatched.popleft()
            yield from self._watchers[leg].look(direction, data)
        changes, self._changes = self._changes, []
        now = time.time()
        for change in changes:
            self._on_event(change(time=now))
            yield

    def _handle(self, sender: Direction, event: h2.events.Event | PassedOn) -> None:
        receiver = self._ends[_OTHER[sender]]
        match event:
            case PassedOn():
                receiver.pass_on(event)
            case h2.events.RequestReceived(stream_id=int(stream), headers=list(headers)):
                self._request(stream, headers, end_stream=event.stream_ended is not None)
            case h2.events.InformationalResponseReceived(
                stream_id=int(stream), headers=list(headers)
            ) if stream in self._calls:
                receiver.send_headers(stream, headers, end_stream=False)
            case h2.events.ResponseReceived(stream_id=int(stream), headers=list(headers)):
                self._response(stream, headers, end_stream=event.stream_ended is not None)
            case h2.events.TrailersReceived(stream_id=int(stream), headers=list(headers)):
                self._trailers(sender, stream, headers)
            case h2.events.DataReceived(stream_id=int(stream)):
                end_stream = event.stream_ended is not None
                length = event.flow_controlled_length or 0
                self._data(sender, stream, event.data or b"", length, end_stream=end_stream)
            case h2.events.StreamReset(stream_id=int(stream)):
                if call := self._calls.get(stream):
                    if sender == "server" and call.status:
                        self._leave(stream, call.halves["server"], "a call that is reset")
                    receiver.send_reset(stream, int(event.error_code or 0))
                    self._forget(stream)

    def _request(self, stream: int, headers: HeaderFields, *, end_stream: bool) -> None:
        fields = dict(headers)
        method = fields.get(b":path", b"").decode("latin-1")
        call = self._calls[stream] = _Call(method)
        call.status = self._rules.status is not None
        for half in call.halves.values():
            # Connect has the message of a GET in the query.
            type_name = self._schema.type_name(method.partition("?")[0], half.direction)
            if self._rules.concern(type_name):
                half.type = type_name
        if reason := _unchangeable(headers):
            if call.status or any(half.type for half in call.halves.values()):
                self._leave(stream, call.halves["client"], f"a call whose {reason}")
            call.status = False
            for half in call.halves.values():
                half.type = ""
        self._encoded(call.halves["client"], fields)
        headers = self._changed("metadata", "client", stream, headers)
        headers = _without_length(headers, call.halves["client"])
        self._ends["server"].send_headers(stream, headers, end_stream=end_stream)
        if end_stream:
            self._end("client", stream)

    def _response(self, stream: int, headers: HeaderFields, *, end_stream: bool) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        if end_stream:
            self._trailers("server", stream, headers, only=True)
            return
        half = call.halves["server"]
        if reason := _unchangeable(headers):
            # A proxy's error page, say.
            if half.type or call.status:
                self._leave(stream, half, f"a response whose {reason}")
            half.type, call.status = "", False
        self._encoded(half, dict(headers))
        headers = self._changed("metadata", "server", stream, headers)
        self._ends["client"].send_headers(stream, _without_length(headers, half), end_stream=False)

    @staticmethod
    def _encoded(half: _Half, fields: dict[bytes, bytes]) -> None:
        half.encoding = fields.get(b"grpc-encoding", b"").decode("latin-1")

    def _trailers(
        self, sender: Direction, stream: int, headers: HeaderFields, *, only: bool = False
    ) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        receiver = self._ends[_OTHER[sender]]
        half = call.halves[sender]
        receiver.send_data(stream, self._rest(stream, half), end_stream=False)
        if only:
            headers = self._changed("metadata", sender, stream, headers)
        status = dict(headers).get(b"grpc-status")
        if sender == "server" and status is not None:
            forged = self._changed("status", sender, stream, headers)
            invented = self._invented(call, half, status)
            if invented is not None:
                if only:
                    names = (b":status", b"content-type")
                    opening = [field for field in forged if field[0] in names]
                    forged = [field for field in forged if field[0] not in names]
                    receiver.send_headers(stream, opening, end_stream=False)
                receiver.send_data(stream, invented, end_stream=False)
                self._say_changed(stream, half, b"", invented[_PREFIX.size :])
            headers = forged
        elif sender == "server":
            self._leave_status(stream, call)
        receiver.send_headers(stream, headers, end_stream=True)
        self._end(sender, stream)

    def _invented(self, call: _Call, half: _Half, status: bytes) -> bytes | None:
        """A message for a call that failed without one and is to seem to have succeeded."""
        wanted = self._rules.status
        if wanted is None or wanted[0] != _OK or status == b"0" or half.begun:
            return None
        data = b""
        if half.type:
            data = self._rules.message(half.type, b"") or b""
        return _PREFIX.pack(0, len(data)) + data

    def _data(
        self, sender: Direction, stream: int, data: bytes, length: int, *, end_stream: bool
    ) -> None:
        call = self._calls.get(stream)
        if call is None:
            self._ends[sender].acknowledge(stream, length)
            return
        half = call.halves[sender]
        half.owed += length
        half.begun = half.begun or bool(data)
        receiver = self._ends[_OTHER[sender]]
        if half.type:
            passed = bytearray()

            def may_hold(flag: int, size: int) -> bool:
                return self._may_hold(stream, half, flag, size)

            for part in half.feed(data, may_hold):
                if isinstance(part, _Message):
                    passed += self._message(stream, half, part)
                else:
                    passed += part
            if end_stream:
                passed += self._rest(stream, half)
            data = bytes(passed)
        if end_stream and sender == "server":
            self._leave_status(stream, call)
        receiver.send_data(stream, data, end_stream=end_stream)
        if not receiver.waits(stream):
            self._settle(stream, sender)
        if end_stream:
            self._end(sender, stream)

    def _rest(self, stream: int, half: _Half) -> bytes:
        """What is held of a message that has no end."""
        if rest := half.rest():
            self._leave(stream, half, "a message that breaks off")
        return rest

    def _leave_status(self, stream: int, call: _Call) -> None:
        """A call has ended with nothing in it that a rule for the status could change."""
        if call.status:
            self._leave(stream, call.halves["server"], "a call that ends without grpc-status")

    def _may_hold(self, stream: int, half: _Half, flag: int, size: int) -> bool:
        if flag > 1:
            self._leave(stream, half, "a message with a flag that has no meaning")
            return False
        if size > MAX_MESSAGE_SIZE:
            self._leave(stream, half, f"a message of {size} bytes, more than {MAX_MESSAGE_SIZE}")
            return False
        if size > MAX_HELD - self._held:
            self._leave(stream, half, f"{self._held} bytes of other messages are held already")
            return False
        self._held += size
        half.reserved += size
        return True

    def _message(self, stream: int, half: _Half, message: _Message) -> bytes:
        """What is sent on of a message."""
        data: bytes | None = message.data
        if message.compressed:
            self._unpacked.add(len(message.data))
            limit = min(MAX_MESSAGE_SIZE, self._unpacked.left)
            data = decompress(half.encoding, message.data, limit)
            if data is None:
                self._leave(stream, half, "a message that cannot be decompressed")
                return message.as_sent
            self._unpacked.left -= len(data)
            if len(data) > limit:
                self._leave(stream, half, f"a message of more than {limit} bytes")
                return message.as_sent
        assert data is not None
        try:
            changed = self._rules.message(half.type, data)
        except DecodeError:
            self._leave(stream, half, f"a message that is no {half.type}")
            return message.as_sent
        if changed is None:
            return message.as_sent
        self._say_changed(stream, half, data, changed)
        # Sent uncompressed, which each message may be (gRPC over HTTP/2, "Compressed-Flag").
        return _PREFIX.pack(0, len(changed)) + changed

    def _settle(self, stream: int, sender: Direction) -> None:
        """Let a sender send more, once the receiver has taken what was there."""
        call = self._calls.get(stream)
        if call:
            half = call.halves[sender]
            self._ends[sender].acknowledge(stream, half.owed)
            half.owed = 0
            if not half.holding:
                self._release(half)

    def _release(self, half: _Half) -> None:
        self._held -= half.reserved
        half.reserved = 0

    def _end(self, sender: Direction, stream: int) -> None:
        self._calls[stream].halves[sender].ended = True
        self._forget_if_over(stream)

    def _forget_if_over(self, stream: int) -> None:
        call = self._calls.get(stream)
        if (
            call
            and all(half.ended for half in call.halves.values())
            and not any(end.waits(stream) for end in self._ends.values())
        ):
            self._forget(stream)

    def _forget(self, stream: int) -> None:
        call = self._calls.pop(stream)
        for half in call.halves.values():
            self._ends[half.direction].acknowledge(stream, half.owed)
            self._release(half)

    def _changed(
        self,
        part: Literal["metadata", "status"],
        direction: Direction,
        stream: int,
        headers: HeaderFields,
    ) -> HeaderFields:
        changed: Changed | None
        if part == "status":
            changed = self._rules.trailers(headers)
        else:
            changed = self._rules.metadata(direction, headers)
        if changed is None:
            return headers
        self._changes.append(
            partial(
                Rewritten,
                connection=self._connection,
                direction=direction,
                stream=stream,
                method=self._calls[stream].method,
                part=part,
                before=changed.before,
                after=changed.after,
            )
        )
        return changed.headers

    def _say_changed(self, stream: int, half: _Half, before: bytes, after: bytes) -> None:
        method = self._calls[stream].method
        self._told.add(len(before) + len(after))
        self._changes.append(
            partial(
                Rewritten,
                connection=self._connection,
                direction=half.direction,
                stream=stream,
                method=method,
                part="message",
                type=half.type,
                before=self._schema.decode(method, half.direction, before, self._told)[1] or {},
                after=self._schema.decode(method, half.direction, after, self._told)[1] or {},
            )
        )

    def _leave(self, stream: int, half: _Half, reason: str) -> None:
        left = self._calls[stream].left
        # How long a message is makes no other reason.
        kind = half.direction + reason.translate(_WITHOUT_DIGITS)
        if kind in left:
            return
        left.add(kind)
        self._changes.append(
            partial(
                NotRewritten,
                connection=self._connection,
                direction=half.direction,
                stream=stream,
                reason=reason,
            )
        )


_WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


def _unchangeable(headers: HeaderFields) -> str:
    """Why messages and status behind these headers cannot be changed; "" if they can."""
    if not carries_grpc(headers):
        return "content-type is not application/grpc"
    content_type = dict(headers).get(b"content-type", b"").decode("latin-1")
    return "messages are JSON" if codec(content_type) == "json" else ""


def _without_length(headers: HeaderFields, half: _Half) -> HeaderFields:
    """Header fields without a length that may no longer be true (RFC 9110 section 8.6)."""
    if not half.type:
        return headers
    return [field for field in headers if field[0] != b"content-length"]
