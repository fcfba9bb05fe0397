"""A connection between two endpoints of the h2 library, and what each of them really sent."""

import base64
from collections import deque
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, StreamReset

from mitm.events import Direction, Headers, Message
from tests.wire.conversation import content_of, message

Fields = list[tuple[bytes, bytes]]


class Said(NamedTuple):
    """A header block or a message, as its sender meant it."""

    direction: Direction
    stream: int
    kind: str
    method: str
    content: object
    end_stream: bool = False


class _Call:
    """One call: what each side has still to say."""

    def __init__(self, stream: int, method: str, grpc: bool) -> None:
        self.stream = stream
        self.method = method
        self.grpc = {"client": grpc, "server": grpc}
        self.waiting: dict[Direction, bytearray] = {"client": bytearray(), "server": bytearray()}
        # Where, in all that was queued for a direction, its messages end.
        self.ends: dict[Direction, deque[tuple[int, tuple[bool, bytes]]]] = {
            "client": deque(),
            "server": deque(),
        }
        self.sent = {"client": 0, "server": 0}
        self.done = {"client": False, "server": False}
        self.answered = False


class Session:
    """Both endpoints. What they send is gathered on `wire` by `exchange`, in order.

    Attributes:
        wire: the bytes, by who sent them.
        said: what is to be told of them, in order.
        calls: those that have not been reset.
    """

    def __init__(self) -> None:
        self._ends: dict[Direction, H2Connection] = {
            "client": _endpoint(client=True),
            "server": _endpoint(client=False),
        }
        self.wire: list[tuple[Direction, bytes]] = []
        self.said: list[Said] = []
        self.calls: list[_Call] = []
        self._pending: dict[Direction, list[Said | int]] = {"client": [], "server": []}
        self._reset: set[int] = set()
        self._known: set[int] = set()
        for end in self._ends.values():
            end.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        """Let each side receive what the other has sent, until there is nothing more."""
        while self._deliver("client") | self._deliver("server"):
            pass
        self._known = {call.stream for call in self.calls}

    def _deliver(self, direction: Direction) -> bool:
        data = self._ends[direction].data_to_send()
        if not data:
            return False
        self.wire.append((direction, data))
        for said in self._pending[direction]:
            if isinstance(said, int):
                self._reset.add(said)
            elif said.stream not in self._reset:
                self.said.append(said)
        self._pending[direction].clear()
        other = self._ends["server" if direction == "client" else "client"]
        for event in other.receive_data(data):
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                other.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, StreamReset):
                self._drop(event.stream_id)
        return True

    def _drop(self, stream: int) -> None:
        self.calls = [call for call in self.calls if call.stream != stream]

    def open(self, method: str, metadata: Fields, *, grpc: bool, end: bool, weight: int) -> None:
        """The client opens a call."""
        client = self._ends["client"]
        stream = client.get_next_available_stream_id()
        call = _Call(stream, method, grpc)
        fields: Fields = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", method.encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc+proto" if grpc else b"text/plain"),
            *metadata,
        ]
        # h2 makes no room for the priority in a frame that is full of headers.
        small = sum(len(value) for _, value in metadata) < 10_000
        priority = {"priority_weight": weight, "priority_exclusive": True}
        if not (weight and small):
            priority = {}
        client.send_headers(stream, fields, end_stream=end, **priority)  # type: ignore[arg-type]
        call.done["client"] = end
        self._say("client", call, "request", _text(fields), end)
        self.calls.append(call)

    def inform(self, call: _Call, metadata: Fields) -> None:
        """The server sends an informational response."""
        # h2 takes one that crosses a reset for an error, which it is not.
        self.exchange()
        if call not in self.calls or call.answered or call.done["server"]:
            return
        fields = [(b":status", b"103"), *metadata]
        self._ends["server"].send_headers(call.stream, fields)
        self._say("server", call, "informational", _text(fields), False)
        self.exchange()

    def answer(self, call: _Call, metadata: Fields, *, grpc: bool, end: bool) -> None:
        """The server sends its response's headers; with `end`, nothing else."""
        if not self._may_send("server", call) or call.answered:
            return
        call.answered = True
        call.grpc["server"] = call.grpc["client"] and grpc
        call.done["server"] = end
        type_ = b"application/grpc" if grpc else b"text/html"
        fields = [(b":status", b"200"), (b"content-type", type_), *metadata]
        self._ends["server"].send_headers(call.stream, fields, end_stream=end)
        self._say("server", call, "trailers-only" if end else "response", _text(fields), end)

    def queue(self, direction: Direction, call: _Call, data: bytes, *, compressed: bool) -> None:
        """A message is made ready to be sent."""
        call.waiting[direction] += message(data, compressed=compressed)
        end = call.sent[direction] + len(call.waiting[direction])
        call.ends[direction].append((end, (compressed, data)))

    def send(
        self, direction: Direction, call: _Call, length: int, *, padding: int, end: bool
    ) -> None:
        """One DATA frame with so much of what is ready."""
        if not self._may_send(direction, call) or (direction == "server" and not call.answered):
            return
        connection, waiting = self._ends[direction], call.waiting[direction]
        room = min(
            connection.max_outbound_frame_size, connection.local_flow_control_window(call.stream)
        )
        data = bytes(waiting[: max(0, min(length, room - padding - 1))])
        if not data and room < padding + 1:
            return
        end = end and len(data) == len(waiting)
        pad = padding or None
        connection.send_data(call.stream, data, end_stream=end, pad_length=pad)
        del waiting[: len(data)]
        call.sent[direction] += len(data)
        call.done[direction] = end
        ends = call.ends[direction]
        while ends and ends[0][0] <= call.sent[direction]:
            _, content = ends.popleft()
            if call.grpc[direction]:
                self._say(direction, call, "message", content, False)

    def trailers(self, direction: Direction, call: _Call, metadata: Fields) -> None:
        """One side ends its direction with trailers."""
        if not self._may_send(direction, call) or (direction == "server" and not call.answered):
            return
        fields = [(b"grpc-status", b"0"), *metadata]
        self._ends[direction].send_headers(call.stream, fields, end_stream=True)
        call.done[direction] = True
        self._say(direction, call, "trailers", _text(fields), True)

    def reset(self, direction: Direction, call: _Call) -> None:
        """One side ends a call for both."""
        if not self._knows(direction, call) or all(call.done.values()):
            return
        self._ends[direction].reset_stream(call.stream, ErrorCodes.CANCEL)
        self._pending[direction].append(call.stream)
        self._drop(call.stream)

    def push(self, call: _Call, method: str, metadata: Fields) -> None:
        """The server promises a call of its own and answers it at once."""
        if not self._may_send("server", call):
            return
        metadata = [(name, value[:1000]) for name, value in metadata]  # as for priority
        server = self._ends["server"]
        stream = server.get_next_available_stream_id()
        fields: Fields = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", method.encode()),
            (b":authority", b"localhost"),
            *metadata,
        ]
        server.push_stream(call.stream, stream, fields)
        pushed = _Call(stream, method, grpc=False)
        self._say("server", pushed, "push", _text(fields), False)
        answer = [(b":status", b"200"), *metadata]
        server.send_headers(stream, answer, end_stream=True)
        self._say("server", pushed, "trailers-only", _text(answer), True)

    def ping(self, direction: Direction, data: bytes) -> None:
        """One side asks whether the other is there."""
        self._ends[direction].ping(data)

    def settings(self, direction: Direction, settings: dict[int, int]) -> None:
        """One side changes what the other may send."""
        self._ends[direction].update_settings(settings)

    def _say(
        self, direction: Direction, call: _Call, kind: str, content: object, end: bool
    ) -> None:
        said = Said(direction, call.stream, kind, call.method, content, end)
        self._pending[direction].append(said)

    def _knows(self, direction: Direction, call: _Call) -> bool:
        return direction == "client" or call.stream in self._known

    def _may_send(self, direction: Direction, call: _Call) -> bool:
        return self._knows(direction, call) and not call.done[direction]


def told(event: Headers | Message) -> Said:
    """What the parser says, in the same words."""
    if isinstance(event, Headers):
        content: object = list(event.headers)
        return Said(
            event.direction, event.stream, event.kind, event.method, content, event.end_stream
        )
    content = event.compressed, content_of(event)
    assert event.size == len(content[1])
    return Said(event.direction, event.stream, "message", event.method, content)


def _text(fields: Fields) -> list[tuple[str, str]]:
    return [(n.decode(), _in_base64(n, v).decode("utf-8", "backslashreplace")) for n, v in fields]


def _in_base64(name: bytes, value: bytes) -> bytes:
    """Binary metadata may also be sent as it is, behind a zero byte."""
    if not (name.endswith(b"-bin") and value[:1] == b"\0"):
        return value
    return base64.b64encode(value[1:]).rstrip(b"=")


def _endpoint(*, client: bool) -> H2Connection:
    return H2Connection(
        H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
        )
    )
