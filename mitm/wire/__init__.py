"""Bytes -> HTTP/2 frames, or HTTP/1.1 -> gRPC messages -> decoded messages: parsers without I/O."""

from mitm.wire.http1 import Http1Parser
from mitm.wire.http2 import Http2Parser
from mitm.wire.schema import Schema

__all__ = ["Http1Parser", "Http2Parser", "Schema"]
