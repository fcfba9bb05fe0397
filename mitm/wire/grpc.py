"""Length-prefixed gRPC messages (gRPC over HTTP/2, "Requests"), out of the payloads of DATA."""

import base64
import binascii
import re
import struct
from functools import lru_cache
from typing import Literal, NamedTuple

from mitm.wire.frames import ProtocolError

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

Framing = Literal["grpc", "web", "web-text"]

_FRAMINGS: dict[str, Framing] = {
    "application/grpc": "grpc",
    "application/grpc-web": "web",
    "application/grpc-web-text": "web-text",
}

_PREFIX = struct.Struct(">BL")
_COMPRESSED, _TRAILERS = 0x01, 0x80  # flags of the prefix; the second one is gRPC-Web's

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
    (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
    """
    return _FRAMINGS.get(content_type.partition(";")[0].partition("+")[0].strip())


def carries_grpc(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the content-type is `application/grpc`, alone or before `+proto` or `;charset`."""
    # As bytes: of whatever kind the others are (RFC 9110 section 5.5), only one matters.
    content_type = dict(headers).get(b"content-type", b"")
    return content_type.partition(b";")[0].partition(b"+")[0] == b"application/grpc"


class RawMessage(NamedTuple):
    """One message as it was sent.

    Attributes:
        size: its length in bytes, without the prefix.
        data: its bytes; the first of them if `truncated`.
        trailers: it is no message, but the trailers of gRPC-Web.
    """

    compressed: bool
    size: int
    data: bytes
    truncated: bool
    trailers: bool = False


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

    Attributes:
        framing: the same.
        encoding: how compressed messages are compressed, by the `grpc-encoding` header.
    """

    def __init__(self, budget: Budget, framing: Framing = "grpc") -> None:
        self.framing = framing
        self.encoding = ""
        self._budget = budget
        self._known_flags = _COMPRESSED if framing == "grpc" else _COMPRESSED | _TRAILERS
        self._prefix = b""
        self._in_message = False
        self._flags = 0
        self._size = 0
        self._missing = 0
        self._room = 0  # how many bytes of the message are kept: the first ones
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[RawMessage]:
        """Take the content of the next DATA frame and give the messages that it completes.

        Raises:
            ProtocolError: a flag is set that has no meaning, or there are more than
                `MAX_IN_FRAME` messages.
        """
        messages: list[RawMessage] = []
        start, end = 0, len(data)
        while start < end:
            if not self._in_message:
                start = self._read_prefix(data, start)
                if not self._in_message:
                    break
            stop = min(end, start + self._missing)
            self._missing -= stop - start
            # A frame may be 16 MiB long: what is not kept is not copied either.
            part = data[start : min(stop, start + self._room - len(self._kept))]
            if self._missing:
                self._keep(part)
            else:
                messages.append(self._complete(part))
                if len(messages) > MAX_IN_FRAME:
                    raise ProtocolError(f"more than {MAX_IN_FRAME} messages in a frame")
            start = stop
        return messages

    def close(self) -> None:
        """Give back what is held of a message that will not be completed."""
        self._budget.used -= len(self._kept)
        self._kept = bytearray()

    def _read_prefix(self, data: bytes, start: int) -> int:
        stop = start + _PREFIX.size - len(self._prefix)
        prefix = self._prefix + data[start:stop]
        if len(prefix) < _PREFIX.size:
            self._prefix = prefix
            return len(data)
        self._prefix = b""
        self._flags, self._size = _PREFIX.unpack(prefix)
        if self._flags & ~self._known_flags:
            raise ProtocolError(f"gRPC message with unknown flags 0x{self._flags:02x}")
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
        )


class TextReader(MessageReader):
    """The same for gRPC-Web in base64, which may be padded at the end of any part of it."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget, "web-text")
        self._rest = b""

    def feed(self, data: bytes) -> list[RawMessage]:
        """As of any reader.

        Raises:
            ProtocolError: also if it is not base64.
        """
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        try:
            parts = [base64.b64decode(p, validate=True) for p in _PADDED.findall(data[:whole])]
        except binascii.Error:
            raise ProtocolError("gRPC-Web text that is not base64") from None
        return super().feed(b"".join(parts))


def reader(framing: Framing, budget: Budget) -> MessageReader:
    """What reads the messages of a content-type."""
    return TextReader(budget) if framing == "web-text" else MessageReader(budget, framing)
