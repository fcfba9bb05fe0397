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
from mitm.proxy.stream import Receiver, Stream
from mitm.proxy.tap import conceal, reveal, secrets_awaited, secrets_told
from mitm.tls import ReceivedAlert, TlsError, TlsLeg

_FIRST = 5  # a record's header (RFC 8446 section 5.1)

# struct linger: on, zero seconds. The close that follows sends RST in place of FIN (POSIX).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Peer:
    """Application bytes from and to a peer, whatever lies below them.

    Args:
        stream: the socket.

    Attributes:
        unread: bytes that were read from the socket, and wait for `handshake` or `take`.
        first: the bytes that came first, enough to tell a TLS record from anything else.
        tls: the TLS on the socket, None for plaintext.
        end: how the peer ended its direction, None while it has not.
        alert: the alert with which it did.
        reason: what went wrong, if it was not the peer's choice.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.unread = bytearray()
        self.first = b""
        self._ended = False
        self.tls: TlsLeg | None = None
        self.end: End | None = None
        self.alert: ReceivedAlert | None = None
        self.reason = ""
        self._answered = False

    async def handshake(self, tls: TlsLeg) -> bool:
        """Speak TLS from here on; False, with `end` set, if the peer or TLS gave up."""
        self.tls = tls
        tls.receive(self.unread)
        self.unread = bytearray()
        if tls.secrets_late:
            secrets_awaited(self._stream)
        try:
            while not tls.handshake():
                await self._flush_tls()
                data = await self._stream.read()
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
            secrets_told(self._stream)
        return True

    async def speaks(self) -> bool:
        """Wait for the first application byte, and leave it to be taken.

        Returns:
            Whether there is one; if not, `end` is set.
        """
        assert self.tls is not None
        while not self.tls.peek():
            if self.tls.failure:
                self._fail(self.tls.failure)
                return False
            if self.tls.closed:
                self.end = "close-notify"
                return False
            data = await self._stream.read()
            if not data:
                self.end = self._how_it_ended()
                return False
            self.tls.receive(data)
        return True

    async def listen(self) -> bool:
        """Wait for more bytes and leave them `unread`; False, with `end` set, at the end."""
        data = await self._stream.read()
        if not data:
            self.end = self._how_it_ended()
            return False
        self.first = self.first or data[:_FIRST]
        self.unread += data
        return True

    @property
    def was_reset(self) -> bool:
        """Whether it is known that the peer has reset the connection, read or not."""
        return self._stream.was_reset

    def _how_it_ended(self) -> End:
        return "reset" if self.was_reset else "eof"

    # Once both peers are greeted, what they send is handed on as it comes.

    def hand_on(self, receiver: Receiver) -> None:
        """Have a receiver told of what has come and is to come: of bytes for `take`.

        Args:
            receiver: is given what was read from the socket by now in any case, be it nothing.
        """
        data, self.unread = bytes(self.unread), bytearray()
        receiver.received(data)
        self._stream.hand_on(receiver)

    def take(self, data: bytes) -> bytes:
        """The application bytes that came with the next bytes of the socket.

        With them may have come the end, `end`.
        """
        if self.tls is None:
            self.first = self.first or data[:_FIRST]
            return data
        self.tls.receive(data)
        plaintext = self.tls.read()
        if self.tls.failure:
            self._fail(self.tls.failure)
        elif self.tls.closed:
            self.end = "close-notify"
        # TLS may have something of its own to say: the answer to a KeyUpdate, for example.
        self._answered |= self._write_tls()
        return plaintext

    def ended(self, *, reset: bool) -> None:
        """The socket has come to its end."""
        self.end = self.end or ("reset" if reset else "eof")

    def pause(self) -> None:
        """Read no further for now."""
        self._stream.pause()

    def resume(self) -> None:
        """Read on."""
        self._stream.resume()

    @property
    def full(self) -> bool:
        """Whether the peer has yet to take what was sent."""
        return self._stream.full

    @property
    def stalled(self) -> bool:
        """Whether TLS has answered the peer, and it does not take that."""
        self._answered = self._answered and self._stream.full
        return self._answered

    def send(self, data: bytes) -> None:
        """Hand application bytes to the socket at once; `full` tells whether it has taken them."""
        if self._stream.is_closing:
            return
        if self.tls:
            try:
                self.tls.write(data)
            except TlsError:
                self.reset()
                return
            data = self.tls.to_send()
        self._stream.write(data)

    def send_end(self, *, notify: bool) -> None:
        """End this direction and leave the other open.

        Args:
            notify: whether TLS says so with close_notify before the FIN. Without it the peer can
                tell that it may have lost something (RFC 8446 section 6.1).
        """
        if self._stream.is_closing or self._ended:
            return
        if self.tls and notify:
            self.tls.close()
            self._stream.write(self.tls.to_send())
        self._ended = True
        # The socket may be gone before the loop has noticed.
        with contextlib.suppress(OSError):
            self._stream.write_eof()

    def reset(self) -> None:
        """Reset the socket, as the other peer did; what was not sent yet is lost."""
        if self._stream.is_closing:
            return
        with contextlib.suppress(OSError):
            self._stream.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
        self._stream.abort()

    def hide(self) -> None:
        """Show the tap, if there is one, nothing of what has passed and is to come."""
        conceal(self._stream)

    def show(self) -> None:
        """Show the tap, if there is one, what has passed and is to come."""
        reveal(self._stream)

    def close(self) -> None:
        """Close the socket, once what is left for the peer has been taken; see `closed`."""
        self._stream.close()

    @property
    def closed(self) -> asyncio.Future[None]:
        """Done once the socket is closed."""
        return self._stream.closed

    def abort(self) -> None:
        """Close the socket now; what was not sent yet is lost."""
        self._stream.abort()

    async def _flush_tls(self) -> None:
        if self._write_tls():
            # Whether there is anybody to take it is what reading tells.
            await self._stream.drain()

    def _write_tls(self) -> bool:
        """Hand what TLS has to say of its own to the socket; whether there was anything."""
        assert self.tls is not None
        data = self.tls.to_send()
        # After its FIN this side has nothing more to say, be it an alert.
        if not data or self._ended or self._stream.is_closing:
            return False
        self._stream.write(data)
        return True

    def _fail(self, error: TlsError) -> None:
        self.alert = error.alert
        self.end = "alert" if error.alert else "error"
        self.reason = "" if error.alert else str(error)
        # The alert that says so to the peer; a peer that does not read is not waited for.
        self._write_tls()
