"""Clients of the endurance run: many connections that come and go, with calls of all kinds.

    python -m bench.soak.client PORT CA RECORD CONNECTIONS SECONDS RATE SEED

makes so many connections at once, and so many calls a second over all of them, each of which ends
in one of the ways that calls end.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from bench.soak.calls import GIVEN_UP, ID, SERVICE, Call, write

# Seconds of a connection, about; of a call that nothing comes between, at the most.
_LIFE = 60.0
_PATIENCE = 60.0

# Seconds over which connections begin, for each of them: all at once, handshakes alone would keep
# the machine busy for longer than anybody waits.
_APART = 0.02

# How calls are meant to end.
_ENDS = ["OK"] * 16 + ["CANCELLED"] * 2 + ["DEADLINE_EXCEEDED", "NOT_FOUND"]

_METHODS = {
    "GetUser": ("unary_unary", b"\x08\x01"),
    "ListUsers": ("unary_stream", b""),
    "ImportUsers": ("stream_unary", b"\x08\x01\x12\x07Nicolas"),
    "Chat": ("stream_stream", b"\x0a\x05hello"),
}


class _Made:
    """A call that goes on."""

    def __init__(self, rng: random.Random, id_: str) -> None:
        self.id = id_
        self.method = rng.choice(list(_METHODS))
        self.meant = rng.choice(_ENDS)
        if self.meant == "NOT_FOUND":
            self.method = "GetUser"
        self.kind, self.message = _METHODS[self.method]
        if self.meant == "NOT_FOUND":
            self.message = b"\x08\x09"
        self.count = rng.randint(1, 6)
        self.requests = self.answers = 0
        # What is to be given up takes long enough for that.
        self.wait = 5.0 if self.meant in GIVEN_UP else rng.choice([0, 0, 0.02])
        self.patience = 0.3 if self.meant == "DEADLINE_EXCEEDED" else _PATIENCE
        self.until_cancel = rng.uniform(0, 0.2)

    async def on(self, channel: grpc.aio.Channel) -> Call:
        """Make it."""
        method: Any = getattr(channel, self.kind)(f"/{SERVICE}/{self.method}")
        metadata = ((ID, self.id), ("wait", str(self.wait)), ("messages", str(self.count)))
        streams = self.kind.startswith("stream")
        request = self._messages() if streams else self.message
        self.requests = 0 if streams else 1
        call = method(request, timeout=self.patience, metadata=metadata)
        cancelling = None
        if self.meant == "CANCELLED":
            loop = asyncio.get_running_loop()
            cancelling = loop.call_later(self.until_cancel, call.cancel)
        try:
            if self.kind.endswith("stream"):
                async for _ in call:
                    self.answers += 1
            else:
                await call
                self.answers = 1
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
        if cancelling:
            cancelling.cancel()
        status = (await call.code()).name
        return Call(self.id, self.method, status, self.requests, self.answers, self.meant)

    async def _messages(self) -> AsyncIterator[bytes]:
        for _ in range(self.count):
            self.requests += 1
            yield self.message


class _Connection:
    """One of the connections, and those that take its place."""

    def __init__(self, number: int, seed: int, target: str, ca: bytes, pause: float) -> None:
        self._rng = random.Random(f"{seed}-{number}")  # noqa: S311
        self._number = f"{seed}-{number}"
        self._target = target
        self._credentials = grpc.ssl_channel_credentials(ca)
        self._pause = pause

    async def go_on(self, end: float, record: list[Call]) -> None:
        made = 0
        while time.monotonic() < end:
            # Without a pool of its own, a channel would take the connection of another.
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.secure_channel(self._target, self._credentials, options) as channel:
                over = min(end, time.monotonic() + self._rng.uniform(0.2, 1.8) * _LIFE)
                while time.monotonic() < over:
                    made += 1
                    record.append(await _Made(self._rng, f"{self._number}-{made}").on(channel))
                    left = max(over - time.monotonic(), 0)
                    await asyncio.sleep(min(self._rng.expovariate(1 / self._pause), left))


async def main() -> None:
    """Make calls until the time is up, and write down what became of them."""
    port, ca, record, connections, seconds, rate, seed = sys.argv[1:]
    end = time.monotonic() + float(seconds)
    count = int(connections)
    pause = count / float(rate)
    calls: list[Call] = []

    async def one(number: int) -> None:
        await asyncio.sleep(min(number * _APART, float(seconds) / 4))
        ca_pem = await asyncio.to_thread(Path(ca).read_bytes)
        connection = _Connection(number, int(seed), f"localhost:{port}", ca_pem, pause)
        await connection.go_on(end, calls)

    async def note() -> None:
        while True:
            await asyncio.sleep(1)
            some = calls.copy()
            calls.clear()
            write(Path(record), some)

    noting = asyncio.create_task(note())
    await asyncio.gather(*map(one, range(count)))
    noting.cancel()
    write(Path(record), calls)


if __name__ == "__main__":
    asyncio.run(main())
