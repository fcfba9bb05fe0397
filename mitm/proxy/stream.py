"""The bytes of one socket: a coroutine reads them at first, and later they are handed on as they
come.

    read        whoever asks is given what has come. While a client arrives and both peers are
                greeted there is one thing to wait for at a time, which a coroutine says best.
    handed on   a receiver is called with what comes, and nobody waits. There is no way back.

What a peer has sent before a reset is read before the reset is. Event loops forget it where the
reset shows by a write that fails: they close the socket over what they have not read yet. A client
that calls and resets, with answers on their way to it, would have said nothing.
"""

import asyncio
import contextlib
import socket
from typing import Protocol, cast

READ_SIZE = 65_536


class Receiver(Protocol):
    """Is told what happens on a socket. What it raises would end the transport of the loop."""

    def received(self, data: bytes) -> None:
        """The peer has sent bytes."""

    def ended(self, *, reset: bool) -> None:
        """The peer has ended its direction, or the connection; said once."""

    def lost(self) -> None:
        """After its end the peer takes nothing any more either."""

    def taken(self) -> None:
        """The peer has taken all that was written."""


class Stream(asyncio.Protocol):
    """One socket.

    Args:
        accepted: the socket of a client; None for one that is dialled.

    Attributes:
        closed: done once the socket is closed.
        full: the peer has yet to take what was written.
        was_reset: whether it is known that the peer has reset the connection, read or not.
    """

    def __init__(self, accepted: socket.socket | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._received = bytearray()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None  # of `read` or `drain`
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.full = False
        self.was_reset = False

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but name.
        self.transport = cast(asyncio.Transport, transport)
        # What the kernel does not take at once is all that waits here: the kernel's own buffer is
        # the queue, and the other peer is not read until there is room in it.
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > READ_SIZE:
            self.pause()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        if exc:
            self._received += self.rest()
        self.over(exc)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._wake()

    def rest(self) -> bytes:
        """What a client has sent that nobody has read; its socket is about to be closed."""
        said = bytearray()
        if self._accepted:
            with contextlib.suppress(OSError):
                while data := self._accepted.recv(READ_SIZE, socket.MSG_DONTWAIT):
                    said += data
        return bytes(said)

    def over(self, exc: Exception | None) -> None:
        """The socket is closed; with an error, if the peer has reset it."""
        self._accepted = None
        self.was_reset = exc is not None
        self._ended = True
        self.full = False
        self._wake()
        if not self.closed.done():
            self.closed.set_result(None)

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # What its user does

    async def read(self) -> bytes:
        """The next bytes, `READ_SIZE` at the most; b"" when there will be no more."""
        while not self._received and not self._ended:
            await self._wait()
        data = bytes(self._received[:READ_SIZE])
        del self._received[:READ_SIZE]
        self.resume()
        return data

    def hand_on(self, receiver: Receiver) -> None:
        """Have a receiver told of what has come and is to come; it says when to read on."""
        data, self._received = bytes(self._received), bytearray()
        if not self.closed.done():
            self.transport.set_protocol(_HandedOn(self, receiver))
        if data:
            receiver.received(data)
        if self._ended:
            receiver.ended(reset=self.was_reset)

    def pause(self) -> None:
        """Read no further for now."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket, which is not closing."""
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken what was written, or is gone."""
        while self.full:
            await self._wait()

    def write_eof(self) -> None:
        """End this direction, behind what was written."""
        self.transport.write_eof()

    @property
    def is_closing(self) -> bool:
        """Whether it is closed, or about to be: nothing can be written any more."""
        return self.transport.is_closing()

    def close(self) -> None:
        """Close the socket, once what is left for the peer has been taken; see `closed`."""
        self.transport.close()

    def abort(self) -> None:
        """Close the socket now; what was not taken yet is lost."""
        self.transport.abort()


class _HandedOn(asyncio.Protocol):
    """Tells a receiver what the loop tells of a stream's socket."""

    def __init__(self, stream: Stream, receiver: Receiver) -> None:
        self._stream = stream
        self._receiver = receiver
        self._ended = stream._ended
        # For each read there is one call, and not two.
        self.data_received = receiver.received  # type: ignore[method-assign]

    def eof_received(self) -> bool:
        self._ended = True
        self._receiver.ended(reset=False)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if exc and not self._ended and (rest := self._stream.rest()):
            self._receiver.received(rest)
        self._stream.over(exc)
        if not self._ended:
            self._receiver.ended(reset=exc is not None)
        elif exc:
            self._receiver.lost()

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()
        self._receiver.taken()
