"""Streams, and their bytes, as they pass on the wire, for whoever records them.

A stream that is shown is a stream that also tells a tap what passes, at the moment when it is
looked at. Where there is no tap nothing stands in the way.
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
from mitm.proxy.stream import Receiver, Stream


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
) -> Stream:
    """A stream on a socket that was accepted.

    Args:
        accepted: the socket.
        remote: the client's address.
        tap: is shown what passes; None for nobody.
        hidden: whether that waits for `reveal`.

    Raises:
        OSError: the client is gone.
    """
    # Without, what follows a small answer may wait for the peer to acknowledge that, for some 40 ms
    # (Nagle's algorithm, RFC 9293 section 3.7.4). asyncio sees to it only where a socket names its
    # protocol, as those that are dialled do.
    with contextlib.suppress(OSError):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tap is None:
        return await _open(Stream(accepted), sock=accepted)
    # Asked of the socket itself, which has it even when the client is gone.
    local = Address(*accepted.getsockname()[:2])
    stream = ShownStream(accepted, tap)
    await _open(stream, sock=accepted)
    stream.show(partial(tap.opened, local, remote, dialled=False), hidden=hidden)
    return stream


async def dial(
    address: Address, tap: Tap | None, *, hidden: bool = False
) -> tuple[Stream, Address]:
    """A stream to an IP address, and the local one that it goes out from.

    Args:
        address: whom to dial.
        tap: is shown what passes; None for nobody.
        hidden: whether that waits for `reveal`.

    Raises:
        OSError: nobody could be reached, or whoever was has reset the connection already.
        UnicodeError: the host is no host name.
    """
    where = {"host": address.host, "port": address.port}
    if tap is None:
        stream = await _open(Stream(None), **where)
        return stream, _address(stream, "sockname")
    shown = ShownStream(None, tap)
    await _open(shown, **where)
    local, remote = _address(shown, "sockname"), _address(shown, "peername")
    shown.show(partial(tap.opened, local, remote, dialled=True), hidden=hidden)
    return shown, local


async def _open(stream: Stream, **where: Any) -> Stream:
    await asyncio.get_running_loop().create_connection(lambda: stream, **where)
    return stream


def _address(stream: Stream, which: str) -> Address:
    """One of the two addresses of a connection.

    Raises:
        ConnectionResetError: there is none any more. The transport is closed.
    """
    if not stream.is_closing and (name := stream.transport.get_extra_info(which)):
        return Address(*name[:2])
    stream.abort()
    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def reveal(stream: Stream) -> None:
    """Show what has passed on a hidden stream, and what is to come."""
    if isinstance(stream, ShownStream):
        stream.reveal()


def conceal(stream: Stream) -> None:
    """Show nothing of a hidden stream, ever."""
    if isinstance(stream, ShownStream):
        stream.flow = _Unseen()


def secrets_awaited(stream: Stream) -> None:
    """Say that what passes on this stream may need secrets that are still to come."""
    if isinstance(stream, ShownStream):
        stream.flow.secrets_awaited()


def secrets_told(stream: Stream) -> None:
    """Say that they have come, or never will."""
    if isinstance(stream, ShownStream):
        stream.flow.secrets_told()


class ShownStream(Stream):
    """A stream whose bytes are shown.

    Args:
        accepted: see `Stream`.
        tap: is told when what was received has been looked at.

    Attributes:
        flow: is shown what passes.
    """

    def __init__(self, accepted: socket.socket | None, tap: Tap) -> None:
        super().__init__(accepted)
        self._tap = tap
        self.flow: Flow = _Unseen()
        self._end_told = False  # of this side

    def show(self, opened: Callable[[], Flow], *, hidden: bool) -> None:
        """Begin to show the connection, or to keep what there would be to show."""
        self._opened = opened
        self.flow = _Hidden() if hidden else opened()

    def reveal(self) -> None:
        """Show what was kept."""
        if isinstance(self.flow, _Hidden):
            flow = self._opened()
            for what in self.flow.kept:
                what(flow)
            self.flow = flow

    async def read(self) -> bytes:
        # Whoever asks for more is done with what came before.
        self._tap.settle()
        data = await super().read()
        if data:
            self.flow.received(data)
        else:
            self.flow.received_end(reset=self.was_reset)
        return data

    def hand_on(self, receiver: Receiver) -> None:
        super().hand_on(_ShownReceiver(receiver, self, self._tap))

    def over(self, exc: Exception | None) -> None:
        super().over(exc)
        # A reset need not be anybody's to read.
        if exc:
            self.flow.received_end(reset=True)
        elif not self._end_told:
            self.flow.sent_end(reset=True)

    def write(self, data: bytes) -> None:
        super().write(data)
        self.flow.sent(data)

    def write_eof(self) -> None:
        super().write_eof()
        self.flow.sent_end(reset=False)

    def close(self) -> None:
        if not self.is_closing:
            self.flow.sent_end(reset=False)
        self._end_told = True
        super().close()


class _ShownReceiver:
    """Shows what a receiver is told of, and when it has looked at it."""

    def __init__(self, receiver: Receiver, stream: ShownStream, tap: Tap) -> None:
        self._receiver = receiver
        self._stream = stream
        self._tap = tap

    def received(self, data: bytes) -> None:
        self._stream.flow.received(data)
        self._receiver.received(data)
        self._tap.settle()

    def ended(self, *, reset: bool) -> None:
        # A socket that this side has closed is no end of the peer's.
        if reset or not self._stream.is_closing:
            self._stream.flow.received_end(reset=reset)
        self._receiver.ended(reset=reset)

    def lost(self) -> None:
        self._receiver.lost()

    def taken(self) -> None:
        self._receiver.taken()


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
