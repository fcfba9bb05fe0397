"""Bytes -> HTTP/2 frames -> gRPC messages -> decoded messages: parsers without I/O."""

from mitm.wire.http2 import Http2Parser
from mitm.wire.schema import Schema

__all__ = ["Http2Parser", "Schema"]
