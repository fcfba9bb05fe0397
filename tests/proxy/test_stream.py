"""A socket that is read by a coroutine, and then handed on: nothing that was said on it is lost."""

import asyncio
import socket
import struct
from typing import cast

import pytest

from mitm.address import Address
from mitm.proxy.established import Established
from mitm.proxy.peer import Peer
from mitm.proxy.relay import Relay
from mitm.proxy.stream import READ_SIZE, Receiver, Stream
from mitm.proxy.tap import dial, take_over
from mitm.tls import TlsLeg
from tests.proxy.stage import LOCALHOST, LoopFactory, run

LAST_WORDS = b"the call of a client that does not wait for its answer"


class Told:
    """A receiver that notes what it is told."""

    def __init__(self) -> None:
        self.said = b""
        self.ends: list[bool] = []
        self.over = asyncio.Event()

    def received(self, data: bytes) -> None:
        self.said += data

    def ended(self, *, reset: bool) -> None:
        self.ends.append(reset)
        self.over.set()

    def lost(self) -> None:
        self.over.set()

    def taken(self) -> None:
        pass


async def a_client() -> tuple[socket.socket, Stream]:
    """A client, and the stream on the socket that was accepted for it."""
    with socket.create_server(LOCALHOST) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, address = listener.accept()
    accepted.setblocking(False)
    return client, await take_over(accepted, Address(*address[:2]), None)


def test_nothing_waits_for_the_acknowledgement_of_what_was_sent_before(loop: LoopFactory) -> None:
    """It takes up to 40 ms; on the client's side, and on the server's."""

    async def main() -> None:
        with socket.create_server(LOCALHOST) as server:
            client, accepted = await a_client()
            dialled, _ = await dial(Address(*server.getsockname()), None)
            for stream in (accepted, dialled):
                sock = stream.transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                stream.close()
                await stream.closed
            client.close()

    run(main(), loop)


def say_and_reset(client: socket.socket) -> None:
    """Have a socket say something and reset; on loopback, both have arrived when this returns."""
    client.sendall(LAST_WORDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("writes", [True, False], ids=["by a write", "by reading"])
def test_what_came_before_a_reset_is_told_to_a_receiver(loop: LoopFactory, writes: bool) -> None:
    """However the loop finds out; when a write fails, it would close over what is unread."""

    async def main() -> None:
        client, stream = await a_client()
        told = Told()
        stream.hand_on(told)
        say_and_reset(client)
        if writes:
            stream.write(b"an answer that is on its way")
        await told.over.wait()
        assert (told.said, told.ends) == (LAST_WORDS, [True])
        await stream.closed

    run(main(), loop)


@pytest.mark.parametrize("writes", [True, False], ids=["by a write", "by reading"])
def test_what_came_before_a_reset_is_read(loop: LoopFactory, writes: bool) -> None:
    async def main() -> None:
        client, stream = await a_client()
        say_and_reset(client)
        if writes:
            stream.write(b"an answer that is on its way")
        assert await stream.read() == LAST_WORDS
        assert await stream.read() == b""
        assert stream.was_reset

    run(main(), loop)


def test_what_was_read_and_not_asked_for_is_handed_on_before_the_rest(loop: LoopFactory) -> None:
    async def main() -> None:
        client, stream = await a_client()
        said = bytes(READ_SIZE) + b"a little more than is read at once"
        client.sendall(said)
        assert await stream.read() != b""
        client.sendall(LAST_WORDS)
        client.close()
        told = Told()
        stream.hand_on(told)
        stream.resume()
        await told.over.wait()
        assert said.endswith(told.said.removesuffix(LAST_WORDS))
        assert told.said.endswith(LAST_WORDS)
        assert told.ends == [False]
        stream.abort()

    run(main(), loop)


class Answering:
    """TLS that has an answer to whatever it is given, and no application data in it."""

    alpn = None
    failure = None
    closed = False

    def receive(self, data: bytes) -> None:
        self.answer = b"answer" if data else b""

    def read(self) -> bytes:
        return b""

    def to_send(self) -> bytes:
        answer, self.answer = self.answer, b""
        return answer


class Slow:
    """A stream whose peer takes nothing for now."""

    is_closing = False
    full = True
    was_reset = False

    def __init__(self) -> None:
        self.reads = True
        self.written = b""

    def hand_on(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def write(self, data: bytes) -> None:
        self.written += data

    def pause(self) -> None:
        self.reads = False

    def resume(self) -> None:
        self.reads = True


@pytest.mark.parametrize("takes", [True, False])
def test_a_peer_that_does_not_take_the_answers_of_tls_is_not_read_on(takes: bool) -> None:
    """Each KeyUpdate may ask for one (RFC 8446 section 4.6.3): they must not pile up here."""

    async def main() -> None:
        streams = Slow(), Slow()
        client, server = (Peer(cast(Stream, stream)) for stream in streams)
        client.tls = cast(TlsLeg, Answering())
        relaying = Established(Relay(None), client, server, lambda event, **fields: None)
        going_on = asyncio.create_task(relaying.run())
        for _ in range(10):  # until both are handed on
            await asyncio.sleep(0)
        streams[0].full = not takes
        streams[0].receiver.received(b"KeyUpdate")
        assert streams[0].written == b"answer"
        assert streams[0].reads == takes
        assert streams[1].reads
        # The twin: once it has taken them it is.
        streams[0].full = False
        streams[0].receiver.taken()
        assert streams[0].reads
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)

    run(main())
