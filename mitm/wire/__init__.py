"""Bytes -> HTTP/2 frames, or HTTP/1.1 -> gRPC messages: parsers without I/O.

What a message means is asked of the `Schema` that a parser is given.
"""

from mitm.wire.http1 import Http1Parser
from mitm.wire.http2 import Http2Parser

__all__ = ["Http1Parser", "Http2Parser"]
