"""What a connection has taken is free once it is over, and not when the collector comes upon it.

What refers to itself in a circle waits for the collector, which comes the more seldom the more
there is: with clients that come and go, memory would grow.
"""

import asyncio
import gc
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from mitm import events
from mitm.events import Event
from mitm.messages.rules import Rules
from mitm.proxy import arrival, memory
from mitm.proxy.connection import Connection
from mitm.proxy.established import Established
from mitm.proxy.peer import Peer
from mitm.proxy.watcher import Watcher
from mitm.tls import TlsLeg
from tests.proxy.stage import (
    PREFACE,
    SETTINGS,
    LoopFactory,
    Props,
    Stage,
    a_hello,
    a_stage,
    client_context,
    run,
    server_context,
)

PARTS = (Connection, Established, Peer, Watcher, TlsLeg)


def parts() -> list[object]:
    """Of connections, what there is."""
    return [each for each in gc.get_objects() if isinstance(each, PARTS)]


@contextmanager
def without_the_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def converses(stage: Stage) -> None:
    http2 = ("h2",)
    client, server = await stage.connect(
        client_context(alpn=http2), server_context(stage.props.genuine, alpn=http2)
    )
    await client.send(PREFACE + SETTINGS)
    await server.send(SETTINGS)
    await server.read()
    await client.finish(notify=False)
    await server.finish(notify=False)


async def resets(stage: Stage) -> None:
    client, server = await stage.connect()
    await client.send(PREFACE)
    await server.read()
    client.reset()


async def sends_a_bad_record(stage: Stage) -> None:
    client, _ = await stage.connect()
    client.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))


async def turns_the_certificate_down(stage: Stage) -> None:
    client = await stage.dial()
    accepting = asyncio.create_task(stage.server.accept(server_context(stage.props.genuine)))
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.handshake(client_context(trust=stage.props.lab_ca), name="localhost")
    await accepting


async def leaves_in_the_handshake(stage: Stage) -> None:
    client = await stage.dial()
    await client.send(a_hello())
    await stage.server.accept(server_context(stage.props.genuine))
    await client.finish()


async def leaves_before_a_word(stage: Stage) -> None:
    client = await stage.dial()
    await client.finish()


async def speaks_neither(stage: Stage) -> None:
    client = await stage.dial()
    await client.send(b"EHLO localhost\r\n")


async def is_silent(stage: Stage) -> None:
    await stage.dial()


async def finds_no_tls_behind(stage: Stage) -> None:
    client = await stage.dial()
    await client.send(a_hello())
    server = await stage.server.accept()
    await server.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def is_asked_for_a_certificate(stage: Stage) -> None:
    """And goes on without the server, which refuses the interceptor."""
    client = await stage.dial()
    insisting = server_context(stage.props.genuine, alpn=("h2",))
    insisting.verify_mode = ssl.CERT_REQUIRED
    accepting = asyncio.create_task(stage.server.accept(insisting))
    await client.handshake(client_context(alpn=("h2",)), name="localhost")
    with pytest.raises(ssl.SSLError):
        await accepting
    await client.send(PREFACE + SETTINGS)
    await client.read()
    await client.finish(notify=False)


WAYS: list[Callable[[Stage], Awaitable[None]]] = [
    converses,
    resets,
    sends_a_bad_record,
    turns_the_certificate_down,
    leaves_in_the_handshake,
    leaves_before_a_word,
    speaks_neither,
    is_silent,
    finds_no_tls_behind,
    is_asked_for_a_certificate,
]


@pytest.mark.parametrize("rewrites", [False, True], ids=["watched", "rewritten"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_is_left_of_a_connection_that_is_over(
    props: Props,
    loop: LoopFactory,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[Stage], Awaitable[None]],
    rewrites: bool,
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.1 if way is is_silent else 60)
    rules = Rules(["users.v1.User.name=Mallory"], props.schema) if rewrites else None

    at_its_end = 0

    def see(event: Event) -> None:
        nonlocal at_its_end
        if isinstance(event, events.Closed):
            at_its_end = len(parts())

    async def main() -> None:
        with without_the_collector():
            before = parts()  # of others, which stay for as long as they are held here
            async with a_stage(props, rules=rules, on_event=see) as stage:
                await way(stage)
                await stage.seen.closed()
            assert at_its_end > len(before) == len(parts())

    run(main(), loop)


def test_it_gives_memory_back_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.give_back()
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())  # without glibc
    memory.give_back()
