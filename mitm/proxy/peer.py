"""One of the two peers of an intercepted connection: a socket, and TLS on it or not."""

import asyncio
import contextlib
import socket
import struct
from typing import Literal

from mitm.tls import ReceivedAlert, TlsError, TlsLeg

READ_SIZE = 65_536

# struct linger: on, zero seconds. The close that follows sends RST in place of FIN (POSIX).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

End = Literal["alert", "close-notify", "eof", "reset", "error"]


class Peer:
    """Application bytes from and to a peer, whatever lies below them.

    Args:
        received: bytes that were read from the socket already.

    Attributes:
        tls: the TLS on the socket, None for plaintext.
        end: how the peer ended its direction, None while it has not.
        alert: the alert with which it did.
        reason: what went wrong, if it was not the peer's choice.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        received: bytes = b"",
    ) -> None:
        self._reader = reader
        self._writer = writer
        # What the kernel does not take at once is all that waits here: the kernel's own buffer is
        # the queue, and the other peer is not read until there is room in it.
        writer.transport.set_write_buffer_limits(high=0)
        self._received = received
        self._ended = False
        self.tls: TlsLeg | None = None
        self.end: End | None = None
        self.alert: ReceivedAlert | None = None
        self.reason = ""

    async def handshake(self, tls: TlsLeg) -> bool:
        """Speak TLS from here on; False, with `end` set, if the peer or TLS gave up."""
        self.tls = tls
        tls.receive(self._received)
        self._received = b""
        try:
            while not tls.handshake():
                await self._flush_tls()
                data = await self._reader.read(READ_SIZE)
                if not data:
                    self.end = "eof"
                    return False
                tls.receive(data)
            await self._flush_tls()
        except TlsError as error:
            self._fail(error)
            return False
        except OSError:
            self.end = "reset"
            return False
        return True

    async def receive(self) -> bytes:
        """The next application bytes; b"", with `end` set, when there will be no more."""
        if self.tls is None:
            return await self._receive_plaintext()
        try:
            # What came with the end of the handshake is in the TLS leg already.
            while not (plaintext := self.tls.read()):
                # TLS has something of its own to say: the answer to a KeyUpdate, for example.
                await self._flush_tls()
                if self.tls.closed:
                    self.end = "close-notify"
                    return b""
                data = await self._reader.read(READ_SIZE)
                if not data:
                    self.end = "eof"
                    return b""
                self.tls.receive(data)
        except TlsError as error:
            self._fail(error)
            return b""
        except OSError:
            self.end = "reset"
            return b""
        return plaintext

    async def _receive_plaintext(self) -> bytes:
        if self._received:
            data, self._received = self._received, b""
            return data
        try:
            data = await self._reader.read(READ_SIZE)
        except OSError:
            self.end = "reset"
            return b""
        if not data:
            self.end = "eof"
        return data

    async def listen(self) -> None:
        """Wait for the first bytes, or the end, and leave them to the next `receive`."""
        self._received = await self._receive_plaintext()

    def send(self, data: bytes) -> None:
        """Hand application bytes to the socket at once; `flush` tells whether there is one left."""
        if self._writer.is_closing():
            return
        if self.tls:
            try:
                self.tls.write(data)
            except TlsError:
                self.reset()
                return
            data = self.tls.to_send()
        self._writer.write(data)

    async def flush(self) -> None:
        """Wait until the peer has taken what was sent: the backpressure.

        Raises:
            OSError: the peer is gone.
        """
        await self._writer.drain()

    def send_end(self, *, notify: bool) -> None:
        """End this direction and leave the other open.

        Args:
            notify: whether TLS says so with close_notify before the FIN. Without it the peer can
                tell that it may have lost something (RFC 8446 section 6.1).
        """
        if self._writer.is_closing():
            return
        if self.tls and notify:
            self.tls.close()
            self._writer.write(self.tls.to_send())
        self._ended = True
        # The socket may be gone before the loop has noticed.
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def reset(self) -> None:
        """Reset the socket, as the other peer did; what was not sent yet is lost."""
        if self._writer.is_closing():
            return
        with contextlib.suppress(OSError):
            self._writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
        self._writer.transport.abort()

    async def _flush_tls(self) -> None:
        if self._write_tls():
            await self._writer.drain()

    def _write_tls(self) -> bool:
        """Hand what TLS has to say of its own to the socket; whether there was anything."""
        assert self.tls is not None
        data = self.tls.to_send()
        # After its FIN this side has nothing more to say, be it an alert.
        if not data or self._ended or self._writer.is_closing():
            return False
        self._writer.write(data)
        return True

    def _fail(self, error: TlsError) -> None:
        self.alert = error.alert
        self.end = "alert" if error.alert else "error"
        self.reason = "" if error.alert else str(error)
        # The alert that says so to the peer; a peer that does not read is not waited for.
        self._write_tls()
