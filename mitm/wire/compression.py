"""Compressed gRPC messages (gRPC over HTTP/2, "Message-Encoding"), within bounds."""

import zlib

# What zlib calls the formats behind these names: gRPC's `deflate` is the zlib format of RFC 1950,
# as HTTP's is. All stacks bring gzip, most of them deflate; what else there is (snappy, zstd) is
# added by an application, and Python's standard library has none of it.
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


# Bytes that zlib is given at once. What it leaves over is copied, so that a member begins with few:
# however many and short the members, the copies stay in proportion to the bytes.
_FIRST_CHUNK = 256
_LARGEST_CHUNK = 64 * 1024


def decompress(encoding: str, data: bytes, limit: int) -> bytes | None:
    """Decompress a message; whatever its bytes are, this does not raise.

    A message in gzip may be several members, one after the other (RFC 1952 section 2.2).

    Args:
        encoding: as in the `grpc-encoding` header, in any case (RFC 9110 section 8.4.1).
        data: the compressed message, whole.
        limit: of a message that is longer than this, this many bytes and one more are made.

    Returns:
        The message, or None: the encoding is not known, or the bytes are not of it.
    """
    encoding = encoding.lower()
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        return None
    message, at = bytearray(), 0
    while True:
        decompressor, size = zlib.decompressobj(bits), _FIRST_CHUNK
        while not decompressor.eof and at < len(data):
            chunk = data[at : at + size]
            try:
                message += decompressor.decompress(chunk, limit + 1 - len(message))
            except zlib.error:
                return None
            if len(message) > limit:
                return bytes(message)
            at += len(chunk) - len(decompressor.unused_data) - len(decompressor.unconsumed_tail)
            size = min(2 * size, _LARGEST_CHUNK)
        if not decompressor.eof:
            return None  # cut short
        if at == len(data):
            return bytes(message)
        if encoding == "deflate":
            return None  # something behind it
