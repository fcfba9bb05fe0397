"""One of the two peers of an intercepted connection: a socket, and TLS on it or not."""

import asyncio
from typing import Literal

from mitm.tls import ReceivedAlert, TlsError, TlsLeg

READ_SIZE = 65_536

End = Literal["alert", "close-notify", "eof", "reset", "error"]


class Peer:
    """Application bytes from and to a peer, whatever lies below them.

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
        tls: TlsLeg | None = None,
        received: bytes = b"",
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._received = received
        self.tls = tls
        if tls:
            tls.receive(received)
        self.end: End | None = None
        self.alert: ReceivedAlert | None = None
        self.reason = ""

    async def handshake(self) -> bool:
        """Complete the TLS handshake; False, with `end` set, if the peer or TLS gave up."""
        assert self.tls is not None
        try:
            while not self.tls.handshake():
                await self._flush_tls()
                data = await self._reader.read(READ_SIZE)
                if not data:
                    self.end = "eof"
                    return False
                self.tls.receive(data)
            await self._flush_tls()
        except TlsError as error:
            self._fail(error)
            await self._flush_tls()
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

    def send(self, data: bytes) -> None:
        """Hand application bytes to the socket at once; `flush` waits until there is room again.

        Raises:
            TlsError: TLS has failed on this side.
        """
        if self.tls:
            self.tls.write(data)
            data = self.tls.to_send()
        self._writer.write(data)

    async def flush(self) -> None:
        """Wait until the peer has taken enough of what was sent: the backpressure.

        Raises:
            OSError: the peer is gone.
        """
        await self._writer.drain()

    async def send_end(self) -> None:
        """End this direction and leave the other open: close_notify, then FIN."""
        try:
            if self.tls:
                self.tls.close()
                await self._flush_tls()
            if self._writer.can_write_eof():
                self._writer.write_eof()
        except OSError:
            self._writer.transport.abort()

    def abort(self) -> None:
        """Reset the socket, as the other peer did."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Let go of the socket."""
        self._writer.close()

    async def _flush_tls(self) -> None:
        assert self.tls is not None
        if data := self.tls.to_send():
            self._writer.write(data)
            await self._writer.drain()

    def _fail(self, error: TlsError) -> None:
        self.alert = error.alert
        self.end = "alert" if error.alert else "error"
        self.reason = "" if error.alert else str(error)
