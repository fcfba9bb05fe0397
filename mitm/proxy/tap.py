"""Streams on sockets, and their bytes, as they pass on the wire, for whoever records them.

Where there is no tap, the streams are asyncio's own but for one thing: what a peer has sent before
a reset is read before the reset is.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from mitm.address import Address
from mitm.proxy.observer import Losses

_READ_SIZE = 65_536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Flow(Protocol):
    """Is shown what passes on one socket."""

    def received(self, data: bytes) -> None:
        """The peer has sent bytes, which are looked at next."""

    def sent(self, data: bytes) -> None:
        """Bytes were handed to the socket."""

    def received_end(self, *, reset: bool) -> None:
        """The peer has ended its direction with FIN, or the whole connection with RST."""

    def sent_end(self, *, reset: bool) -> None:
        """This side has."""

    def secrets_awaited(self) -> None:
        """What passes from now on may need secrets that are still to come."""

    def secrets_told(self) -> None:
        """They have come, or never will."""


class Tap(Protocol):
    """Is shown every socket, and the secrets of the TLS on it.

    Secrets are appended to the key log while a handshake goes on, some of them only at its end,
    which is told. After it, those for bytes that are sent come before they are sent, and those for
    bytes that were received when these are looked at.

    Attributes:
        key_log: a file for `ssl.SSLContext.keylog_filename`.
    """

    key_log: str

    def __hash__(self) -> int:
        """By identity: TLS contexts are kept for each tap."""
        ...

    def opened(self, local: Address, remote: Address, *, dialled: bool) -> Flow:
        """A connection has come about.

        Args:
            local: this side's address.
            remote: the peer's.
            dialled: whether this side is the one that dialled.
        """

    def settle(self) -> None:
        """What was received so far has been looked at."""


async def take_over(
    accepted: socket.socket, remote: Address, tap: Tap | None, *, hidden: bool = False
) -> Streams:
    """Streams on a socket that was accepted.

    Args:
        accepted: the socket.
        remote: the client's address.
        tap: is shown what passes; None for nobody.
        hidden: whether that waits for `reveal`.

    Raises:
        OSError: the client is gone.
    """
    if tap is None:
        return await _open(accepted, sock=accepted)
    # Asked of the socket itself, which has it even when the client is gone.
    local = Address(*accepted.getsockname()[:2])
    reader, writer = await _open_shown(tap, accepted, sock=accepted)
    writer.show(partial(tap.opened, local, remote, dialled=False), hidden=hidden)
    return reader, writer


async def dial(
    address: Address, tap: Tap | None, *, hidden: bool = False
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Address]:
    """Streams to an IP address, and the local one that they go out from.

    Args:
        address: whom to dial.
        tap: is shown what passes; None for nobody.
        hidden: whether that waits for `reveal`.

    Raises:
        OSError: nobody could be reached, or whoever was has reset the connection already.
        UnicodeError: the host is no host name.
    """
    if tap is None:
        streams = await _open(None, host=address.host, port=address.port)
        return *streams, _address(streams[1], "sockname")
    reader, writer = await _open_shown(tap, None, host=address.host, port=address.port)
    local, remote = _address(writer, "sockname"), _address(writer, "peername")
    writer.show(partial(tap.opened, local, remote, dialled=True), hidden=hidden)
    return reader, writer, local


def _address(writer: asyncio.StreamWriter, which: str) -> Address:
    """One of the two addresses of a connection.

    Raises:
        ConnectionResetError: there is none any more. The transport is closed.
    """
    if not writer.is_closing() and (name := writer.get_extra_info(which)):
        return Address(*name[:2])
    writer.transport.abort()
    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def reveal(writer: asyncio.StreamWriter) -> None:
    """Show what has passed on hidden streams, and what is to come."""
    if isinstance(writer, _Writer):
        writer.reveal()


def secrets_awaited(writer: asyncio.StreamWriter) -> None:
    """Say that what passes on these streams may need secrets that are still to come."""
    if isinstance(writer, _Writer):
        writer.flow.secrets_awaited()


def secrets_told(writer: asyncio.StreamWriter) -> None:
    """Say that they have come, or never will."""
    if isinstance(writer, _Writer):
        writer.flow.secrets_told()


def conceal(writer: asyncio.StreamWriter) -> None:
    """Show nothing of hidden streams, ever."""
    if isinstance(writer, _Writer):
        writer.conceal()


# What asyncio.open_connection does, with classes of our own.


async def _open(accepted: socket.socket | None, **where: Any) -> Streams:
    loop = asyncio.get_running_loop()
    reader = _Reader(loop=loop)
    lifetime = _Lifetime(reader, accepted, loop)
    transport, _ = await loop.create_connection(lambda: lifetime, **where)
    return reader, asyncio.StreamWriter(transport, lifetime, reader, loop)


async def _open_shown(
    tap: Tap, accepted: socket.socket | None, **where: Any
) -> tuple["_ShownReader", "_Writer"]:
    loop = asyncio.get_running_loop()
    reader = _ShownReader(tap, loop)
    lifetime = _ShownLifetime(reader, accepted, loop)
    transport, _ = await loop.create_connection(lambda: lifetime, **where)
    return reader, _Writer(transport, lifetime, reader, loop)


class _Hidden:
    """Keeps what passes, until it is clear whether anybody may see it."""

    def __init__(self) -> None:
        self.kept: list[Callable[[Flow], None]] = []

    def received(self, data: bytes) -> None:
        self.kept.append(lambda flow: flow.received(data))

    def sent(self, data: bytes) -> None:
        self.kept.append(lambda flow: flow.sent(data))

    def received_end(self, *, reset: bool) -> None:
        self.kept.append(lambda flow: flow.received_end(reset=reset))

    def sent_end(self, *, reset: bool) -> None:
        self.kept.append(lambda flow: flow.sent_end(reset=reset))

    def secrets_awaited(self) -> None:
        self.kept.append(lambda flow: flow.secrets_awaited())

    def secrets_told(self) -> None:
        self.kept.append(lambda flow: flow.secrets_told())


class _Unseen:
    """Is shown everything, and looks at nothing."""

    def received(self, data: bytes) -> None:
        pass

    def sent(self, data: bytes) -> None:
        pass

    def received_end(self, *, reset: bool) -> None:
        pass

    def sent_end(self, *, reset: bool) -> None:
        pass

    def secrets_awaited(self) -> None:
        pass

    def secrets_told(self) -> None:
        pass


class GuardedTap:
    """A tap whose errors are its own: no connection ends with them, and no peer is blamed.

    Args:
        tap: the one that is shown everything.
        losses: counts what it raises.
    """

    def __init__(self, tap: Tap, losses: Losses) -> None:
        self._tap = tap
        self._losses = losses
        self.key_log = tap.key_log

    def opened(self, local: Address, remote: Address, *, dialled: bool) -> Flow:
        """See `Tap`."""
        try:
            return _GuardedFlow(self._tap.opened(local, remote, dialled=dialled), self._losses)
        except Exception as error:
            self._losses.add(_RECORDER, error)
            return _Unseen()

    def settle(self) -> None:
        """See `Tap`."""
        try:
            self._tap.settle()
        except Exception as error:
            self._losses.add(_RECORDER, error)


_RECORDER = "the recorder of the sockets"


class _GuardedFlow:
    """A flow of a guarded tap."""

    def __init__(self, flow: Flow, losses: Losses) -> None:
        self._flow = flow
        self._losses = losses

    def received(self, data: bytes) -> None:
        try:
            self._flow.received(data)
        except Exception as error:
            self._losses.add(_RECORDER, error)

    def sent(self, data: bytes) -> None:
        try:
            self._flow.sent(data)
        except Exception as error:
            self._losses.add(_RECORDER, error)

    def received_end(self, *, reset: bool) -> None:
        try:
            self._flow.received_end(reset=reset)
        except Exception as error:
            self._losses.add(_RECORDER, error)

    def sent_end(self, *, reset: bool) -> None:
        try:
            self._flow.sent_end(reset=reset)
        except Exception as error:
            self._losses.add(_RECORDER, error)

    def secrets_awaited(self) -> None:
        try:
            self._flow.secrets_awaited()
        except Exception as error:
            self._losses.add(_RECORDER, error)

    def secrets_told(self) -> None:
        try:
            self._flow.secrets_told()
        except Exception as error:
            self._losses.add(_RECORDER, error)


class _Reader(asyncio.StreamReader):
    """Gives what a peer has sent before its reset; asyncio's own forgets that for the reset.

    A reset is read as an end, then, of which `exception` says what it was.
    """

    _lost: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        """The connection is lost: nothing more comes, but what has come is there to be read."""
        self._lost = exc
        self.feed_eof()

    def exception(self) -> Exception | None:
        """What has become of the connection, read or not."""
        return self._lost

    def take_rest(self, peer: socket.socket) -> None:
        """Take what has come to a socket that nobody will read any more."""
        with contextlib.suppress(OSError):
            while data := peer.recv(_READ_SIZE, socket.MSG_DONTWAIT):
                # It asks the transport to pause, which is closing.
                with contextlib.suppress(RuntimeError):
                    self.feed_data(data)


class _ShownReader(_Reader):
    """Shows what is read, when it is read.

    Whoever asks for more is done with what came before.
    """

    flow: Flow

    def __init__(self, tap: Tap, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._tap = tap

    async def read(self, n: int = -1) -> bytes:
        self._tap.settle()
        data = await super().read(n)
        if data:
            self.flow.received(data)
        else:
            self.flow.received_end(reset=self.exception() is not None)
        return data


class _Lifetime(asyncio.StreamReaderProtocol):
    """Reads what a client has sent before its reset, however that showed.

    Where it shows by a write that fails, event loops close the socket over what they have not read
    yet. A client that calls and resets, with answers on their way to it, would have said nothing.

    Args:
        reader: is given what comes.
        accepted: the client's socket; None for a server's.
        loop: the running one.
    """

    def __init__(
        self,
        reader: _Reader,
        accepted: socket.socket | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(reader, loop=loop)
        self._reader = reader
        self._accepted = accepted

    def connection_lost(self, exc: Exception | None) -> None:
        # The socket is closed once this has returned.
        if exc and self._accepted:
            self._reader.take_rest(self._accepted)
        self._accepted = None
        super().connection_lost(exc)


class _ShownLifetime(_Lifetime):
    """Shows that a connection was reset, which need not be anybody's to read."""

    flow: Flow | None = None
    closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.flow and exc:
            self.flow.received_end(reset=True)
        elif self.flow and not self.closed:
            self.flow.sent_end(reset=True)


class _Writer(asyncio.StreamWriter):
    """Shows what is written."""

    flow: Flow

    def __init__(
        self,
        transport: asyncio.Transport,
        lifetime: _ShownLifetime,
        reader: _ShownReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, lifetime, reader, loop)
        self._reader_side = reader
        self._lifetime = lifetime

    def show(self, opened: Callable[[], Flow], *, hidden: bool) -> None:
        """Begin to show the connection, or to keep what there would be to show."""
        self._opened = opened
        self._become(_Hidden() if hidden else opened())

    def reveal(self) -> None:
        """Show what was kept."""
        if isinstance(self.flow, _Hidden):
            flow = self._opened()
            for what in self.flow.kept:
                what(flow)
            self._become(flow)

    def conceal(self) -> None:
        """Keep nothing any more."""
        self._become(_Unseen())

    def _become(self, flow: Flow) -> None:
        self.flow = self._reader_side.flow = self._lifetime.flow = flow

    def write(self, data: bytes | bytearray | memoryview) -> None:
        alive = not self.is_closing()
        super().write(data)
        if alive:
            self.flow.sent(bytes(data))

    def write_eof(self) -> None:
        super().write_eof()
        self.flow.sent_end(reset=False)

    def close(self) -> None:
        if not self.is_closing():
            self.flow.sent_end(reset=False)
        self._lifetime.closed = True
        super().close()
