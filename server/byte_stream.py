"""A connection as a stream of bytes whose directions end one by one, in plaintext and over TLS.

asyncio's own TLS closes both directions as soon as one has ended, and with it what was still to be
said in the other.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import TypeVar

_CHUNK = 65_536  # bytes read at once

Result = TypeVar("Result")


class Plain:
    """A connection in plaintext."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """The next bytes; b"" once the peer says no more."""
        return await self._reader.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        """Send bytes, at the pace of the peer."""
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """Say that no more will be sent. What the peer sends is read on."""
        self._writer.write_eof()


class Tls(Plain):
    """A connection over TLS.

    Args:
        context: how.
        server_name: of the server, on the client's side; None on the server's.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        server_name: str | None = None,
    ) -> None:
        super().__init__(reader, writer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )
        self._unread = bytearray()

    async def handshake(self) -> None:
        """Shake hands.

        Raises:
            ssl.SSLError: the peer is not taken, or does not take this one.
            OSError: the connection has broken.
        """
        await self._do(self._tls.do_handshake)

    async def read(self) -> bytes:
        """The next bytes; b"" once the peer says no more, with a close_notify or without."""
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            return data
        # OpenSSL tells a bare end of the connection from a close_notify. gRPC's C core sends none.
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return await self._do(lambda: self._tls.read(_CHUNK))
        return b""

    async def write(self, data: bytes) -> None:
        """Send bytes, at the pace of the peer."""
        self._tls.write(data)
        await self._flush()

    async def end(self) -> None:
        """Say that no more will be sent, with a close_notify (RFC 8446 section 6.1)."""
        # OpenSSL looks for the peer's own at once, and takes bytes that came before it for a fault.
        with contextlib.suppress(ssl.SSLError):
            while data := self._tls.read(_CHUNK):
                self._unread += data
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()
        await super().end()

    async def _do(self, operation: Callable[[], Result]) -> Result:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await self._reader.read(_CHUNK):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                # An alert, too.
                await self._flush()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await super().write(data)
