"""One of the two peers of an intercepted connection: a socket, and TLS on it or not.

Nothing else touches the transports of the event loop. A peer can be gone at any time, and what a
transport does then is not the same everywhere: asyncio's takes what is written and drops it,
uvloop's raises RuntimeError, and has no socket to be asked any more. Both say so beforehand, by
`is_closing`, which is asked here before anything else; how a peer has gone is what reading tells.
"""

import asyncio
import contextlib
import socket
import struct

from mitm.proxy.ending import End
from mitm.proxy.tap import conceal, reveal, secrets_awaited, secrets_told
from mitm.tls import ReceivedAlert, TlsError, TlsLeg

READ_SIZE = 65_536

_FIRST = 5  # a record's header (RFC 8446 section 5.1)

# struct linger: on, zero seconds. The close that follows sends RST in place of FIN (POSIX).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Peer:
    """Application bytes from and to a peer, whatever lies below them.

    Args:
        reader: of `mitm.proxy.tap`, which gives what came before a reset.
        writer: to the same socket.

    Attributes:
        unread: bytes that were read from the socket, and wait for `handshake` or `receive`.
        first: the bytes that came first, enough to tell a TLS record from anything else.
        tls: the TLS on the socket, None for plaintext.
        end: how the peer ended its direction, None while it has not.
        alert: the alert with which it did.
        reason: what went wrong, if it was not the peer's choice.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        if not writer.is_closing():
            # What the kernel does not take at once is all that waits here: the kernel's own buffer
            # is the queue, and the other peer is not read until there is room in it.
            writer.transport.set_write_buffer_limits(high=0)
        self.unread = bytearray()
        self.first = b""
        self._ended = False
        self.tls: TlsLeg | None = None
        self.end: End | None = None
        self.alert: ReceivedAlert | None = None
        self.reason = ""

    async def handshake(self, tls: TlsLeg) -> bool:
        """Speak TLS from here on; False, with `end` set, if the peer or TLS gave up."""
        self.tls = tls
        tls.receive(self.unread)
        self.unread = bytearray()
        if tls.secrets_late:
            secrets_awaited(self._writer)
        try:
            while not tls.handshake():
                await self._flush_tls()
                data = await self._reader.read(READ_SIZE)
                if not data:
                    self.end = self._how_it_ended()
                    return False
                self.first = self.first or data[:_FIRST]
                tls.receive(data)
            await self._flush_tls()
        except TlsError as error:
            self._fail(error)
            return False
        finally:
            secrets_told(self._writer)
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
                    self.end = self._how_it_ended()
                    return b""
                self.tls.receive(data)
        except TlsError as error:
            self._fail(error)
            return b""
        return plaintext

    async def _receive_plaintext(self) -> bytes:
        if not self.unread and not await self.listen():
            return b""
        data, self.unread = bytes(self.unread), bytearray()
        return data

    async def listen(self) -> bool:
        """Wait for more bytes and leave them `unread`; False, with `end` set, at the end."""
        data = await self._reader.read(READ_SIZE)
        if not data:
            self.end = self._how_it_ended()
            return False
        self.first = self.first or data[:_FIRST]
        self.unread += data
        return True

    @property
    def was_reset(self) -> bool:
        """Whether it is known that the peer has reset the connection, read or not."""
        return self._reader.exception() is not None

    def _how_it_ended(self) -> End:
        return "reset" if self.was_reset else "eof"

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
        if self._writer.is_closing() or self._ended:
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

    def hide(self) -> None:
        """Show the tap, if there is one, nothing of what has passed and is to come."""
        conceal(self._writer)

    def show(self) -> None:
        """Show the tap, if there is one, what has passed and is to come."""
        reveal(self._writer)

    def close(self) -> None:
        """Close the socket, once what is left for the peer has been taken; see `closed`."""
        self._writer.close()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        # How it ended has been told already.
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Close the socket now; what was not sent yet is lost."""
        self._writer.transport.abort()

    async def _flush_tls(self) -> None:
        if self._write_tls():
            # Whether there is anybody to take it is what reading tells.
            with contextlib.suppress(OSError):
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
