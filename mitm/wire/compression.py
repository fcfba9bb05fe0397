"""Compressed gRPC messages (gRPC over HTTP/2, "Message-Encoding"), within bounds."""

import zlib

# What zlib calls the formats behind these names: gRPC's `deflate` is the zlib format of RFC 1950,
# as HTTP's is. All stacks bring gzip, most of them deflate; what else there is (snappy, zstd) is
# added by an application, and Python's standard library has none of it.
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def decompress(encoding: str, data: bytes, limit: int) -> bytes | None:
    """Decompress a message; whatever its bytes are, this does not raise.

    Args:
        encoding: as in the `grpc-encoding` header.
        data: the compressed message, whole.
        limit: of a message that is longer than this, this many bytes and one more are made.

    Returns:
        The message, or None: the encoding is not known, or the bytes are not of it.
    """
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        return None
    decompressor = zlib.decompressobj(bits)
    try:
        message = decompressor.decompress(data, limit + 1)
    except zlib.error:
        return None
    if len(message) > limit:
        return message
    # Cut short, or with something behind it.
    return message if decompressor.eof and not decompressor.unused_data else None
