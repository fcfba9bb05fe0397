"""A peer that is gone is a peer that is gone: whenever it goes, and whichever loop finds out."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitm import events
from mitm.address import Address
from mitm.capture import Recorder
from mitm.events import Event
from mitm.proxy import Interceptor, arrival, tap
from mitm.proxy.stream import Stream
from mitm.proxy.tap import Tap, dial
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    PREFACE,
    VERSIONS,
    LoopFactory,
    Props,
    Seen,
    Stage,
    a_hello,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)


@pytest.fixture(params=["streams of the loop", "streams with a tap"])
def a_tap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tap | None]:
    if request.param == "streams of the loop":
        yield None
        return
    recorder = Recorder(tmp_path / "a.pcapng", None)
    yield recorder
    recorder.close()


async def round_and_round() -> None:
    """Let the loop come round, and see what has become of its sockets."""
    for _ in range(10):
        await asyncio.sleep(0)


async def late_dial(address: Address, tap: Tap | None, *, hidden: bool) -> object:
    await round_and_round()
    return await dial(address, tap, hidden=hidden)


@pytest.fixture(params=["dialled at once", "dialled late"])
def noticed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the loop comes round, and closes a transport, before the server is dialled."""
    if request.param == "dialled late":
        monkeypatch.setattr(arrival, "dial", late_dial)


def reset(sock: socket.socket) -> None:
    """Send RST, which on loopback has arrived when this returns."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def must_be_a_reset_by(party: str, seen: Seen, told: str = "") -> events.Closed:
    closed = seen.one(events.Closed)
    assert (closed.by, closed.how, closed.reason) == (party, "reset", told)
    return closed


# The client


async def a_client_that_goes_at(
    moment: type[Event], said: bytes, props: Props, a_tap: Tap | None
) -> Seen:
    """A client that has spoken resets the connection the moment that an event is told."""
    clients: list[socket.socket] = []

    def look(event: Event) -> None:
        if isinstance(event, moment):
            reset(clients[0])

    async with a_stage(props, tap=a_tap, on_event=look) as stage:
        clients.append(socket.create_connection(stage.interceptor.address))
        clients[0].sendall(said)
        accepting = asyncio.create_task(_serve(stage, said != PREFACE))
        await stage.seen.closed()
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
    return stage.seen


async def _serve(stage: Stage, tls: bool) -> None:
    server = await stage.server.accept()
    with contextlib.suppress(ssl.SSLError, EOFError, OSError):
        if tls:
            await server.handshake(server_context(stage.props.genuine), server_side=True)
        await server.read_all()


@pytest.mark.usefixtures("noticed")
@pytest.mark.parametrize("said", [b"", a_hello()[:100], PREFACE[:10]], ids=["no", "tls", "http"])
def test_a_client_that_resets_right_after_connecting(
    props: Props, loop: LoopFactory, a_tap: Tap | None, said: bytes
) -> None:
    seen = run(a_client_that_goes_at(events.Connected, said, props, a_tap), loop)
    assert must_be_a_reset_by("client", seen).phase == "hello"


@pytest.mark.usefixtures("noticed")
@pytest.mark.parametrize(
    "moment", [events.ClientHello, events.UpstreamConnected, events.CertificatePresented]
)
def test_a_client_that_resets_after_its_hello(
    props: Props, loop: LoopFactory, a_tap: Tap | None, moment: type[Event]
) -> None:
    seen = run(a_client_that_goes_at(moment, a_hello(), props, a_tap), loop)
    closed = must_be_a_reset_by("client", seen)
    presented = bool(seen.all(events.CertificatePresented))
    assert closed.phase == ("handshake" if presented else "hello")
    assert seen.all(events.HandshakeCompleted) == []


@pytest.mark.usefixtures("noticed")
@pytest.mark.parametrize(
    "moment", [events.Plaintext, events.UpstreamConnected, events.ApplicationData]
)
def test_a_client_that_resets_after_its_preface(
    props: Props, loop: LoopFactory, a_tap: Tap | None, moment: type[Event]
) -> None:
    seen = run(a_client_that_goes_at(moment, PREFACE, props, a_tap), loop)
    closed = must_be_a_reset_by("client", seen)
    # What it has said before stays said.
    assert (closed.phase, closed.client_bytes) == ("established", len(PREFACE))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_resets_in_the_middle_of_its_handshake(
    props: Props, loop: LoopFactory, a_tap: Tap | None, version: str
) -> None:
    async def main() -> None:
        async with a_stage(props, tap=a_tap) as stage:
            client = await stage.dial()
            await client.send(a_hello(client_context(version=VERSIONS[version])))
            await stage.server.accept(server_context(props.genuine))
            assert await client.read() != b""
            client.reset()
            await stage.seen.closed()
        assert must_be_a_reset_by("client", stage.seen).phase == "handshake"

    run(main(), loop)


def test_a_client_that_resets_while_a_server_is_dialled_that_is_not_there(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two have failed here; it is the client who went first."""
    monkeypatch.setattr(arrival, "dial", late_dial)
    with socket.create_server(LOCALHOST) as taken:
        nobody = Address(*taken.getsockname())

    async def main() -> None:
        clients: list[socket.socket] = []

        def look(event: Event) -> None:
            if isinstance(event, events.ClientHello):
                reset(clients[0])

        async with a_stage(props, upstream=nobody, on_event=look) as stage:
            clients.append(socket.create_connection(stage.interceptor.address))
            clients[0].sendall(a_hello())
            await stage.seen.closed()
        assert stage.seen.one(events.UpstreamFailed).reason == "Connection refused"
        must_be_a_reset_by("client", stage.seen)

    run(main(), loop)


@pytest.mark.parametrize(
    "said",
    [
        b"CONNECT localhost:4",
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["half a request", "forbidden", "not there", "no request for a tunnel"],
)
def test_a_client_that_is_refused_and_gone(
    props: Props, loop: LoopFactory, a_tap: Tap | None, said: bytes
) -> None:
    async def main() -> None:
        seen = Seen()
        async with Interceptor(
            upstream=None,
            mode="connect",
            intercept=["localhost"],
            choose=presenting(props.forged),
            on_event=seen,
            tap=a_tap,
        ) as interceptor:
            client = socket.create_connection(interceptor.address)
            client.sendall(said)
            reset(client)
            closed = await seen.closed()
            await interceptor.drain(LIMIT)
        # Its words may have been read before it was known that it is gone.
        assert (closed.by, closed.how) in {("client", "reset"), ("attacker", "error")}
        assert "unforeseen" not in closed.reason

    run(main(), loop)


# The server


@pytest.mark.parametrize("first", [a_hello(), PREFACE], ids=["tls", "plaintext"])
def test_a_server_that_resets_right_after_it_was_dialled(
    props: Props,
    loop: LoopFactory,
    a_tap: Tap | None,
    first: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def and_be_reset(address: Address, tap: Tap | None, *, hidden: bool) -> object:
        streams = await dial(address, tap, hidden=hidden)
        reset(listener.accept()[0])
        await round_and_round()
        return streams

    async def main() -> Seen:
        async with a_stage(props, tap=a_tap, upstream=Address(*listener.getsockname())) as stage:
            client = await stage.dial()
            await client.send(first)
            await stage.seen.closed()
            with contextlib.suppress(ConnectionResetError):
                assert await client.read() == b""
        return stage.seen

    monkeypatch.setattr(arrival, "dial", and_be_reset)
    with socket.create_server(LOCALHOST) as listener:
        seen = run(main(), loop)
    if first == PREFACE:
        hint = "if it takes no plaintext, add --upstream-tls"
        must_be_a_reset_by("server", seen, f"the server has closed without an answer; {hint}")
        return
    failed = seen.one(events.UpstreamFailed)
    assert failed.reason == (
        "the TLS handshake failed: it closed the connection with a reset without an answer; "
        "if it takes no TLS, add --upstream-plaintext"
    )
    closed = seen.one(events.Closed)
    assert (closed.by, closed.how, closed.phase) == ("attacker", "error", "hello")
    assert closed.reason == f"the server was not reached: {failed.reason}"


def test_a_server_that_resets_before_it_can_be_asked_for_its_address(
    props: Props, loop: LoopFactory
) -> None:
    opened = tap._open

    async def and_be_reset(stream: Stream, **where: object) -> object:
        await opened(stream, **where)
        if "host" in where:
            reset(listener.accept()[0])
            await round_and_round()
        return stream

    async def main() -> Seen:
        async with a_stage(props, upstream=Address(*listener.getsockname())) as stage:
            client = await stage.dial()
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(tap, "_open", and_be_reset)
                await client.send(a_hello())
                await stage.seen.closed()
        return stage.seen

    with socket.create_server(LOCALHOST) as listener:
        seen = run(main(), loop)
    assert seen.one(events.UpstreamFailed).reason == "Connection reset by peer"
    assert "unforeseen" not in seen.one(events.Closed).reason


def test_a_server_that_resets_in_the_middle_of_its_handshake(
    props: Props, loop: LoopFactory, a_tap: Tap | None
) -> None:
    async def main() -> None:
        async with a_stage(props, tap=a_tap) as stage:
            client = await stage.dial()
            await client.send(a_hello())
            server = await stage.server.accept()
            assert await server.read() != b""
            await server.send(b"\x16\x03\x03\x00\x50")  # the beginning of a record
            server.reset()
            closed = await stage.seen.closed()
        failed = stage.seen.one(events.UpstreamFailed)
        assert failed.reason == "the TLS handshake failed: it closed the connection with a reset"
        assert (closed.by, closed.how) == ("attacker", "error")

    run(main(), loop)


@pytest.mark.parametrize("who", ["client", "server"])
def test_its_twin_that_goes_with_an_established_connection(
    props: Props, loop: LoopFactory, a_tap: Tap | None, who: str
) -> None:
    async def main() -> None:
        async with a_stage(props, tap=a_tap) as stage:
            client, server = await stage.connect()
            await client.send(b"a word")
            assert await server.read_exactly(6) == b"a word"
            (client if who == "client" else server).reset()
            closed = await stage.seen.closed()
        assert must_be_a_reset_by(who, stage.seen).phase == "established"
        assert closed.client_bytes == 6

    run(main(), loop)
