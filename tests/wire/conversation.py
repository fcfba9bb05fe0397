"""Both sides of an HTTP/2 connection, written frame by frame with hyperframe and hpack."""

from collections.abc import Sequence
from typing import TypeVar

import hpack
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

from mitm import content
from mitm.descriptors import load_descriptor_set
from mitm.events import Direction, Event, Message, ParseFailed
from mitm.messages import Schema
from mitm.wire import Http2Parser
from tests.messages.guessed import encoded

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET_USER = "/users.v1.UserService/GetUser"
NO_SCHEMA = Schema(FileDescriptorSet())
USERS = Schema(load_descriptor_set(content.PROTO / "users.binpb"))

# GetUserRequest(id=1) and User(id=1, name="Nicolas"), by the protobuf encoding guide.
REQUEST = b"\x08\x01"
USER = b"\x08\x01\x12\x07Nicolas"

Fields = Sequence[tuple[str, str]]
E = TypeVar("E", bound=Event)


def message(data: bytes, *, compressed: bool = False) -> bytes:
    """A gRPC message with its prefix."""
    return bytes([compressed]) + len(data).to_bytes(4, "big") + data


def content_of(event: Message) -> bytes:
    """The bytes of a message that no descriptors were there for: as they are, or as guessed."""
    if event.raw is not None:
        return event.raw
    assert event.decoded_by == "guess"
    assert event.value is not None
    return encoded(event.value)


def data(stream: int, content: bytes, *flags: str) -> DataFrame:
    """A DATA frame."""
    return DataFrame(stream, content, flags=list(flags))


def only(kind: type[E], events: Sequence[Event]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def failure(events: Sequence[Event]) -> str:
    """The reason of the one `ParseFailed`, which must come last and be the connection's."""
    (failed,) = only(ParseFailed, events)
    assert events[-1] is failed
    assert failed.stream == 0
    return failed.reason


def lost(events: Sequence[Event]) -> tuple[int, str]:
    """The stream that is read no further by the one `ParseFailed`, and the reason."""
    (failed,) = only(ParseFailed, events)
    assert failed.stream
    return failed.stream, failed.reason


class Conversation:
    """A parser that has seen both sides' first SETTINGS, and what is needed to go on."""

    def __init__(self, schema: Schema = NO_SCHEMA) -> None:
        self.parser = Http2Parser(1, schema)
        self._encoders: dict[Direction, hpack.Encoder] = {
            "client": hpack.Encoder(),
            "server": hpack.Encoder(),
        }
        self.feed("client", PREFACE)
        self.send("client", SettingsFrame(0))
        self.send("server", SettingsFrame(0))

    def feed(self, direction: Direction, data: bytes) -> list[Event]:
        """Let one side send bytes."""
        return list(self.parser.feed(direction, data, 0.0))

    def send(self, direction: Direction, *frames: Frame) -> list[Event]:
        """Let one side send frames."""
        return self.feed(direction, b"".join(frame.serialize() for frame in frames))

    def block(self, direction: Direction, fields: Fields, *, huffman: bool = True) -> bytes:
        """The header block that this side's encoder makes of some fields.

        Args:
            huffman: whether strings are shortened, which takes hpack long where they are.
        """
        return self._encoders[direction].encode(fields, huffman=huffman)

    def headers(
        self, direction: Direction, stream: int, fields: Fields, *flags: str
    ) -> HeadersFrame:
        """A HEADERS frame with a whole header block."""
        block = self.block(direction, fields)
        return HeadersFrame(stream, block, flags=["END_HEADERS", *flags])

    def request(self, stream: int = 1, *flags: str, method: str = GET_USER) -> list[Event]:
        """Let the client open a gRPC call."""
        return self.send("client", self.headers("client", stream, request_fields(method), *flags))

    def response(self, stream: int = 1) -> list[Event]:
        """Let the server begin to answer a call."""
        return self.send("server", self.headers("server", stream, RESPONSE))

    def trailers(self, stream: int = 1, status: str = "0") -> list[Event]:
        """Let the server end a call."""
        fields = [("grpc-status", status)]
        return self.send("server", self.headers("server", stream, fields, "END_STREAM"))


RESPONSE: Fields = [(":status", "200"), ("content-type", "application/grpc")]


def request_fields(
    method: str = GET_USER, *more: tuple[str, str], content_type: str = "application/grpc"
) -> Fields:
    """The headers of a request."""
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", content_type),
        *more,
    ]
