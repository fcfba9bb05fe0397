"""Length-prefixed gRPC messages (gRPC over HTTP/2, "Requests"), out of the payloads of DATA."""

import base64
import binascii
import re
import struct
from functools import lru_cache
from typing import Literal

import msgspec

from mitm.wire.frames import StreamError

# What gRPC implementations take by default (GRPC_DEFAULT_MAX_RECV_MESSAGE_LENGTH in the C core;
# grpc-go, grpc-java and grpc-js say the same). A longer message is counted and not kept.
MAX_MESSAGE_SIZE = 4 * 1024 * 1024

# How much is kept of a message that is too long: enough to recognise it.
TRUNCATED_SIZE = 4 * 1024

# Half-received messages of one connection, all streams together: four of the largest, as against
# the 16 MiB that grpc-go's clients of large responses commonly set for their whole window.
MAX_HELD = 4 * MAX_MESSAGE_SIZE

# Messages that one DATA frame completes. A frame of the default size holds 3,276 empty ones, one
# of the largest size 3,355,443, and each becomes an event.
MAX_IN_FRAME = 65_536

Framing = Literal["grpc", "web", "web-text", "connect", "unary"]

Codec = Literal["proto", "json"]
"""What messages are written in."""

_FRAMINGS: dict[str, Framing] = {
    "application/grpc": "grpc",
    "application/grpc-web": "web",
    "application/grpc-web-text": "web-text",
    "application/connect": "connect",
}

_PREFIX = struct.Struct(">BL")
_PREFIX_SIZE = _PREFIX.size

# Flags of the prefix. The second one is gRPC-Web's, the third one Connect's.
_COMPRESSED, _TRAILERS, _END = 0x01, 0x80, 0x02
_FLAGS: dict[Framing, int] = {
    "grpc": _COMPRESSED,
    "web": _COMPRESSED | _TRAILERS,
    "web-text": _COMPRESSED | _TRAILERS,
    "connect": _COMPRESSED | _END,
}

# Base64 up to its padding. Padding elsewhere than at the end of four letters is an error.
_PADDED = re.compile(rb"[^=]+={0,2}|=")


def is_grpc(content_type: str) -> bool:
    """Whether a request of this content-type carries gRPC messages, and is no gRPC-Web."""
    return framing(content_type) == "grpc"


@lru_cache(maxsize=64)
def framing(content_type: str) -> Framing | None:
    """How a request or response of this content-type carries gRPC messages, None if it does not.

    The names alone, or before `+proto` or `;charset`: `application/grpc`; `application/grpc-web`,
    whose trailers are a message of their own; `application/grpc-web-text`, which is that in base64
    (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md); `application/connect`, whose
    streams end with a message of their own (https://connectrpc.com/docs/protocol).
    """
    return _FRAMINGS.get(media_type(content_type).partition("+")[0])


def media_type(content_type: str) -> str:
    """What a content-type says without its parameters, in lower case (RFC 9110 section 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=64)
def codec(content_type: str) -> Codec:
    """What the messages of this content-type are written in: JSON where it says so."""
    return "json" if media_type(content_type).endswith(("+json", "/json")) else "proto"


def carries_grpc(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the content-type is `application/grpc`, alone or before `+proto` or `;charset`."""
    # As bytes: of whatever kind the others are (RFC 9110 section 5.5), only one matters.
    return is_grpc(dict(headers).get(b"content-type", b"").decode("latin-1"))


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """One message as it was sent.

    Attributes:
        size: its length in bytes, without the prefix.
        data: its bytes; the first of them if `truncated`.
        trailers: it is no message, but the trailers of gRPC-Web.
        end: it is no message, but what ends a stream of Connect.
    """

    compressed: bool
    size: int
    data: bytes
    truncated: bool
    trailers: bool = False
    end: bool = False


class UnreadableError(StreamError):
    """The messages of a stream cannot be told apart any more.

    Attributes:
        before: those that came before, in the same part.
    """

    def __init__(self, reason: str, before: list[RawMessage]) -> None:
        super().__init__(reason)
        self.before = before


class Budget:
    """How many bytes of half-received messages one connection still may hold."""

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._limit = limit
        self.used = 0

    @property
    def left(self) -> int:
        return self._limit - self.used


class MessageReader:
    """Puts the messages of one direction of one call together.

    Args:
        budget: shared by all readers of a connection.
        framing: how the messages are carried.
        codec: what they are written in.

    Attributes:
        framing: the same.
        codec: the same.
        encoding: how compressed messages are compressed, by the `grpc-encoding` header.
        error: they are no messages of the method's, but say why the call has failed.
    """

    # As at the beginning: there are two of these for each call.
    encoding = ""
    error = False
    _prefix = b""
    _in_message = False
    _flags = 0
    _size = 0
    _missing = 0
    _room = 0  # how many bytes of the message are kept: the first ones

    def __init__(self, budget: Budget, framing: Framing = "grpc", codec: Codec = "proto") -> None:
        self.framing = framing
        self.codec: Codec = codec
        self._budget = budget
        self._known_flags = _FLAGS.get(framing, 0)
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[RawMessage]:
        """Take the content of the next DATA frame and give the messages that it completes.

        Raises:
            UnreadableError: a flag is set that has no meaning, or there are more than
                `MAX_IN_FRAME` messages.
        """
        if not self._in_message and not self._prefix and len(data) >= _PREFIX_SIZE:
            flags, size = _PREFIX.unpack_from(data)
            if not flags and size == len(data) - _PREFIX_SIZE <= MAX_MESSAGE_SIZE:
                # Most messages have a frame of their own.
                return [RawMessage(False, size, data[_PREFIX_SIZE:], False)]
        messages: list[RawMessage] = []
        start, end = 0, len(data)
        while start < end:
            if not self._in_message:
                try:
                    start = self._read_prefix(data, start)
                except StreamError as error:
                    raise UnreadableError(str(error), messages) from None
                if not self._in_message:
                    break
            stop = min(end, start + self._missing)
            self._missing -= stop - start
            # A frame may be 16 MiB long: what is not kept is not copied either.
            part = data[start : min(stop, start + self._room - len(self._kept))]
            if self._missing:
                self._keep(part)
            else:
                if len(messages) == MAX_IN_FRAME:
                    reason = f"more than {MAX_IN_FRAME} messages in a frame"
                    raise UnreadableError(reason, messages)
                messages.append(self._complete(part))
            start = stop
        return messages

    def finish(self) -> list[RawMessage]:
        """Give the message that only the end completes, where there is one."""
        return []

    def close(self) -> None:
        """Give back what is held of a message that will not be completed."""
        if self._kept:
            self._budget.used -= len(self._kept)
            self._kept = bytearray()

    def _read_prefix(self, data: bytes, start: int) -> int:
        stop = start + _PREFIX_SIZE - len(self._prefix)
        prefix = self._prefix + data[start:stop]
        if len(prefix) < _PREFIX_SIZE:
            self._prefix = prefix
            return len(data)
        self._prefix = b""
        self._flags, self._size = _PREFIX.unpack(prefix)
        if self._flags & ~self._known_flags:
            raise StreamError(f"gRPC message with unknown flags 0x{self._flags:02x}")
        self._missing = self._size
        self._room = self._size if self._size <= MAX_MESSAGE_SIZE else TRUNCATED_SIZE
        self._in_message = True
        return stop

    def _keep(self, data: bytes) -> None:
        if len(data) > self._budget.left:
            self._budget.used -= max(0, len(self._kept) - TRUNCATED_SIZE)
            del self._kept[TRUNCATED_SIZE:]
            self._room = min(TRUNCATED_SIZE, len(self._kept) + self._budget.left)
            data = data[: self._room - len(self._kept)]
        self._kept += data
        self._budget.used += len(data)

    def _complete(self, data: bytes) -> RawMessage:
        if self._kept:
            data = bytes(self._kept + data)
            self.close()
        self._in_message = False
        return RawMessage(
            self._flags & _COMPRESSED != 0,
            self._size,
            data[: self._room],
            self._room < self._size,
            self._flags & _TRAILERS != 0,
            self._flags & _END != 0,
        )

    # A message without a prefix: its length is known at its end.

    def _begin_body(self) -> None:
        self._room = MAX_MESSAGE_SIZE

    def _add_to_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_MESSAGE_SIZE:
            self._room = min(self._room, TRUNCATED_SIZE)
            self._budget.used -= max(0, len(self._kept) - self._room)
            del self._kept[self._room :]
        self._keep(data[: max(0, self._room - len(self._kept))])

    def _end_body(self, *, compressed: bool) -> RawMessage:
        data = bytes(self._kept)
        self.close()
        return RawMessage(compressed, self._size, data, len(data) < self._size)


class TextReader(MessageReader):
    """The same for gRPC-Web in base64, which may be padded at the end of any part of it."""

    def __init__(self, budget: Budget, codec: Codec = "proto") -> None:
        super().__init__(budget, "web-text", codec)
        self._rest = b""

    def feed(self, data: bytes) -> list[RawMessage]:
        """As of any reader.

        Raises:
            UnreadableError: also if it is not base64.
        """
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        decoded, is_base64 = bytearray(), True
        try:
            for part in _PADDED.findall(data[:whole]):
                decoded += base64.b64decode(part, validate=True)
        except binascii.Error:
            is_base64 = False
        messages = super().feed(bytes(decoded))
        if not is_base64:
            raise UnreadableError("gRPC-Web text that is not base64", messages)
        return messages

    def finish(self) -> list[RawMessage]:
        """Give the messages of what is left without padding.

        Raises:
            UnreadableError: it is no base64.
        """
        return self.feed(b"=" * (-len(self._rest) % 4))


def reader(framing: Framing, codec: Codec, budget: Budget) -> MessageReader:
    """What reads messages that are carried in this way."""
    if framing == "web-text":
        return TextReader(budget, codec)
    return MessageReader(budget, framing, codec)
