"""Peers who mean no good: half a hello, resets, floods, garbage, and nobody who reads.

Each is a connection of its own, again and again, and none of them waits for the others.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

from bench.fresh import opening, unverifying
from bench.soak.calls import SERVICE
from mitm.wire.frames import DATA, PING, SETTINGS

# Seconds that a peer stays who says nothing more, and between two of a kind.
_STAYS = 3.0
_PAUSE = 1.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _hello() -> bytes:
    """What a client begins with."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Hostile:
    """Comes to a port in every way there is, until it is cancelled.

    Args:
        port: where to, on loopback.
        seed: for what is left to chance.

    Attributes:
        came: how many connections there have been.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._rng = random.Random(seed)  # noqa: S311
        self._hello = _hello()
        self._context = unverifying()
        # The beginning of a call, without its end.
        self._opening = opening(f"/{SERVICE}/Chat")
        self.came = 0

    async def come(self) -> None:
        """Come again and again, in all ways at once."""
        ways = (
            self._half_hello,
            self._nothing,
            self._garbage,
            self._garbage_in_tls,
            self._reset,
            self._pings,
            self._settings,
            self._empty_data,
            self._slow_reader,
        )
        await asyncio.gather(*map(self._again, ways))

    async def _again(self, way: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * _PAUSE)
            self.came += 1
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await asyncio.wait_for(way(), 20)

    async def _plain(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _tls(self) -> Streams:
        return await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost"
        )

    async def _say(self, streams: Streams, data: bytes, stays: float = 0.2) -> None:
        """Say it, read what comes for so long, and go."""
        reader, writer = streams
        try:
            writer.write(data)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(stays):
                    await writer.drain()
                    while await reader.read(65_536):
                        pass
        finally:
            writer.transport.abort()

    async def _half_hello(self) -> None:
        some = self._hello[: self._rng.randrange(1, len(self._hello))]
        await self._say(await self._plain(), some, _STAYS)

    async def _nothing(self) -> None:
        await self._say(await self._plain(), b"", self._rng.uniform(0, 1))

    async def _garbage(self) -> None:
        await self._say(await self._plain(), self._rng.randbytes(self._rng.randrange(1, 5000)))

    async def _garbage_in_tls(self) -> None:
        await self._say(await self._tls(), self._rng.randbytes(self._rng.randrange(1, 5000)))

    async def _reset(self) -> None:
        """In the middle of a message."""
        _, writer = await self._tls()
        try:
            half = _frame(DATA, 0, 1, b"\0\0\0\1\0" + 50 * b"x")
            writer.write(self._opening + half[: self._rng.randrange(1, len(half))])
            await asyncio.sleep(0.1)
            plain = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            writer.transport.abort()

    async def _pings(self) -> None:
        await self._say(await self._tls(), self._opening + 500 * _frame(PING, 0, 0, bytes(8)))

    async def _settings(self) -> None:
        await self._say(await self._tls(), self._opening + 300 * _frame(SETTINGS, 0, 0))

    async def _empty_data(self) -> None:
        await self._say(await self._tls(), self._opening + 1000 * _frame(DATA, 0, 1))

    async def _slow_reader(self) -> None:
        """Everything is sent back to who does not read it."""
        _, writer = await self._tls()
        try:
            message = b"\0" + (16_000).to_bytes(4, "big") + 16_000 * b"x"
            writer.write(self._opening + 3 * _frame(DATA, 0, 1, message))
            await asyncio.sleep(_STAYS)
        finally:
            writer.transport.abort()
