"""The Connect protocol's calls whose message is a body, or stands in a query.

https://connectrpc.com/docs/protocol has it all. Its streams carry messages behind a prefix, as
gRPC's do: those are read by `mitm.wire.grpc`.
"""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import parse_qs

from mitm.wire.grpc import Budget, Codec, MessageReader, RawMessage

# The type of what ends a stream, by its name in the protocol. It is JSON whatever the messages are.
END_OF_STREAM = "EndStreamResponse"

# Parameters of a query that are looked at: a GET has five.
_MAX_PARAMETERS = 32


class UnaryReader(MessageReader):
    """Takes a whole body for one message.

    Args:
        budget: shared by all readers of a connection.
        codec: what the message is written in.
        encoding: how it is compressed, by the `content-encoding` header.
    """

    def __init__(self, budget: Budget, codec: Codec, encoding: str = "") -> None:
        super().__init__(budget, "unary", codec)
        self.encoding = "" if encoding.lower() == "identity" else encoding
        self._begin_body()

    def feed(self, data: bytes) -> list[RawMessage]:
        """Take the next part of the body; there is no message before its end."""
        self._add_to_body(data)
        return []

    def finish(self) -> list[RawMessage]:
        """Give the message, at the end of the body."""
        return [self._end_body(compressed=bool(self.encoding))]


class Get(NamedTuple):
    """A message in a query, and how it is written."""

    message: RawMessage
    codec: Codec
    encoding: str


def get(http_method: str, path: str) -> Get | None:
    """The message of a call by GET; None if it is none, or its message cannot be had.

    Args:
        http_method: of the request.
        path: with its query.
    """
    if http_method != "GET" or "message=" not in path:
        return None
    try:
        fields = parse_qs(
            path.partition("?")[2],
            keep_blank_values=True,
            max_num_fields=_MAX_PARAMETERS,
            encoding="latin-1",
        )
        message = fields["message"][0].encode("latin-1")
        codec = fields["encoding"][0]
        if fields.get("base64") == ["1"]:
            message = base64.b64decode(message + b"=" * (-len(message) % 4), b"-_", validate=True)
    except (KeyError, ValueError, binascii.Error):
        return None
    encoding = fields.get("compression", [""])[0]
    if codec not in ("proto", "json"):
        return None
    compressed = encoding not in ("", "identity")
    raw = RawMessage(compressed, len(message), message, False)
    return Get(raw, "json" if codec == "json" else "proto", encoding if compressed else "")
