"""The relay: bytes, backpressure, half-closes and resets, between two real sockets."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest

from mitm import events
from mitm.address import Address
from mitm.events import Event
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    PREFACE,
    STALLED,
    VERSIONS,
    End,
    LoopFactory,
    Props,
    Stage,
    a_stage,
    client_context,
    run,
    server_context,
)

# More than the kernel's buffers between client and server can hold; see tcp_wmem in tcp(7).
FLOOD = 48 * 2**20


async def exchange(client: End, server: End, up: bytes, down: bytes) -> None:
    """Send in both directions at once; what arrives must be what was sent."""
    up_arrived, down_arrived, *_ = await asyncio.gather(
        server.read_exactly(len(up)),
        client.read_exactly(len(down)),
        client.send(up),
        server.send(down),
    )
    assert up_arrived == up
    assert down_arrived == down


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_pass_through_tls_unchanged_both_ways(
    props: Props, loop: LoopFactory, version: str
) -> None:
    up, down = os.urandom(3_000_001), os.urandom(2_000_003)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(version=VERSIONS[version]),
                server_context(props.genuine, version=VERSIONS[version]),
            )
            await exchange(client, server, up, down)
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
        assert (closed.client_bytes, closed.server_bytes) == (len(up), len(down))
        for direction, sent in (("client", up), ("server", down)):
            data = stage.seen.one(events.ApplicationData, direction=direction)
            assert data.encrypted
            assert sent.startswith(data.sample)
            assert len(data.sample) == 64

    run(main(), loop)


def test_bytes_pass_in_plaintext_unchanged_both_ways(props: Props, loop: LoopFactory) -> None:
    up, down = os.urandom(1_000_001), os.urandom(1_000_003)

    async def main() -> None:
        async with a_stage(props) as stage:
            await exchange(*await stage.connect_plaintext(), up, down)
            assert stage.seen.one(events.Plaintext)
            assert not stage.seen.one(events.ApplicationData, direction="client").encrypted

    run(main(), loop)


def test_a_byte_has_arrived_before_it_is_told_of(props: Props, loop: LoopFactory) -> None:
    """Whoever looks at the events may take as long as they like: nobody waits for them."""
    arrived: list[bytes] = []

    def look(event: Event) -> None:
        if isinstance(event, events.ApplicationData):
            # Past the event loop, which stands still while this runs.
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(LIMIT)
                arrived.append(accepted.recv(1000))

    async def main() -> None:
        upstream = Address(*listener.getsockname())
        async with a_stage(props, upstream=upstream, on_event=look) as stage:
            client = await stage.dial()
            await client.send(PREFACE)
            await stage.seen.wait(events.ApplicationData)
        assert arrived == [PREFACE]

    with socket.create_server(LOCALHOST) as listener:
        listener.settimeout(LIMIT)
        run(main(), loop)


@pytest.mark.parametrize("direction", ["client", "server"])
def test_a_reader_that_stops_stops_the_writer(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    pattern = os.urandom(2**20)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            writer, reader = (client, server) if direction == "client" else (server, client)
            pushed = 0

            async def push() -> None:
                nonlocal pushed
                while pushed < FLOOD:
                    await writer.send(pattern)
                    pushed += len(pattern)

            pushing = asyncio.create_task(push())
            before = -1
            while pushed > before and not pushing.done():
                before = pushed
                await asyncio.wait([pushing], timeout=STALLED)
            # Four kernel buffers of 6 MiB at the most; the interceptor adds 0.5 MiB.
            assert pushed < 30 * 2**20
            assert not pushing.done()

            arrived = 0
            while arrived < FLOOD:
                assert await reader.read_exactly(len(pattern)) == pattern
                arrived += len(pattern)
            await pushing

    run(main(), loop)


async def a_pair(stage: Stage, direction: str, protocol: str) -> tuple[End, End]:
    """The one who sends and the one who receives, connected through the interceptor."""
    if protocol == "plaintext":
        client, server = await stage.connect_plaintext()
    else:
        version = VERSIONS[protocol]
        client, server = await stage.connect(
            client_context(version=version),
            server_context(stage.props.genuine, version=version),
        )
    return (client, server) if direction == "client" else (server, client)


directions = pytest.mark.parametrize("direction", ["client", "server"])
protocols = pytest.mark.parametrize("protocol", ["plaintext", *VERSIONS])


@directions
@protocols
def test_a_direction_that_ended_leaves_the_other_open(
    props: Props, loop: LoopFactory, protocol: str, direction: str
) -> None:
    answer = os.urandom(500_000)

    async def main() -> None:
        async with a_stage(props) as stage:
            finished, open_end = await a_pair(stage, direction, protocol)
            await finished.send(b"that is all")
            await finished.finish()
            assert await open_end.read_all() == b"that is all"
            sending = asyncio.create_task(open_end.send(answer))
            assert await finished.read_exactly(len(answer)) == answer
            await sending
            assert stage.seen.all(events.Closed) == []
            await open_end.finish()
            assert await finished.read() == b""
            # Both have said that it is all.
            assert finished.notified == open_end.notified == (protocol != "plaintext")
            closed = await stage.seen.closed()
        assert closed.by == direction
        assert closed.how == ("eof" if protocol == "plaintext" else "close-notify")
        assert closed.phase == "established"

    run(main(), loop)


def test_what_crosses_an_end_on_its_way_is_not_lost(props: Props) -> None:
    """The client ends its direction while bytes of the server are already with the interceptor."""

    def end(tls: ssl.SSLObject) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            greeting = asyncio.create_task(client.handshake(trusting, name="localhost", then=end))
            server = await stage.server.accept()
            # In TLS 1.2 it is the server that speaks last, so that more can come with it.
            context = server_context(props.genuine, version=ssl.TLSVersion.TLSv1_2)
            await server.handshake(context, server_side=True, then=lambda tls: tls.write(b"hello"))
            await greeting
            assert await server.read() == b""
            await server.send(b" and goodbye")
            await server.finish()
            assert await client.read_all() == b"hello and goodbye"

    trusting = client_context(version=ssl.TLSVersion.TLSv1_3)
    run(main())


@directions
@pytest.mark.parametrize("notify", [True, False])
def test_only_an_end_with_close_notify_becomes_one(
    props: Props, direction: str, notify: bool
) -> None:
    """A truncated connection (RFC 8446 section 6.1) must not look whole to the other side."""

    async def main() -> None:
        async with a_stage(props) as stage:
            finished, other = await a_pair(stage, direction, "TLSv1.3")
            await finished.send(b"perhaps not all")
            await finished.finish(notify=notify)
            assert await other.read_all() == b"perhaps not all"
            assert other.notified is notify
            await other.finish()
            closed = await stage.seen.closed()
            assert closed.how == ("close-notify" if notify else "eof")
            assert closed.by == direction

    run(main())


def test_the_end_of_a_plaintext_server_is_a_whole_one(props: Props) -> None:
    """It has no other way to say so than the FIN that means truncation in TLS."""

    async def main() -> None:
        async with a_stage(props, upstream_tls=False) as stage:
            client = await stage.dial()
            await client.handshake(client_context(), name="localhost")
            server = await stage.server.accept()
            await server.send(b"that is all")
            await server.finish()
            assert await client.read_all() == b"that is all"
            assert client.notified

    run(main())


@directions
@protocols
def test_a_reset_is_passed_on_as_a_reset(
    props: Props, loop: LoopFactory, protocol: str, direction: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            leaving, staying = await a_pair(stage, direction, protocol)
            await leaving.send(b"before")
            assert await staying.read_exactly(6) == b"before"
            leaving.reset()
            with pytest.raises(ConnectionResetError):
                await staying.read()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.phase) == (direction, "reset", "established")

    run(main(), loop)


@directions
@protocols
def test_so_is_one_behind_an_end_of_the_other(
    props: Props, loop: LoopFactory, protocol: str, direction: str
) -> None:
    """Half of the connection has ended; whoever still waits for the other half is not left."""

    async def main() -> None:
        async with a_stage(props) as stage:
            leaving, staying = await a_pair(stage, direction, protocol)
            await staying.finish()
            assert await leaving.read() == b""
            leaving.reset()
            with pytest.raises(ConnectionResetError):
                await staying.read_all()
            await stage.seen.closed()

    run(main(), loop)


@directions
def test_a_writer_learns_that_its_reader_is_gone(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    """The reset comes while the interceptor waits for room: nothing is read from the writer."""

    async def main() -> None:
        async with a_stage(props) as stage:
            writer, reader = await a_pair(stage, direction, "TLSv1.3")
            pushing = asyncio.create_task(writer.send_without_end())
            await reader.read_exactly(2**18)
            reader.reset()
            with pytest.raises(ConnectionResetError):
                await pushing
            closed = await stage.seen.closed()
        gone = "server" if direction == "client" else "client"
        assert (closed.by, closed.how) == (gone, "reset")

    run(main(), loop)


@directions
def test_a_writer_that_does_not_read_learns_that_its_reader_is_gone(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    """The other direction is full, and so nothing is read from that reader any more."""

    async def main() -> None:
        async with a_stage(props) as stage:
            writer, reader = await a_pair(stage, direction, "TLSv1.3")
            await reader.flood(writer)
            reader.reset()
            with pytest.raises(ConnectionError):
                await writer.send_without_end()
            assert await stage.seen.closed()

    run(main(), loop)


@pytest.mark.parametrize("first", ["client", "server"])
def test_what_a_client_sends_to_a_server_that_has_left_is_evidence(
    props: Props, loop: LoopFactory, first: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            await stage.seen.wait(events.HandshakeCompleted)
            server.reset()
            if first == "server":
                await asyncio.sleep(0)  # the loop sends the RST
            # Both are in the kernel before the interceptor can look.
            await client.send(b"authorization: Bearer demo")
            closed = await stage.seen.closed()
        assert closed.client_bytes == 26
        data = stage.seen.one(events.ApplicationData, direction="client")
        assert data.sample == b"authorization: Bearer demo"

    run(main(), loop)


@directions
def test_a_broken_record_ends_both_directions_and_is_ours_to_say(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            breaking, other = await a_pair(stage, direction, "TLSv1.3")
            await breaking.send(b"good")
            # An application record that was not made with the session's keys.
            breaking.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            assert await other.read_all() == b"good"
            assert not other.notified
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
                await breaking.read()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how) == ("attacker", "error")
        # In the words of OpenSSL, before 3.6 and since.
        assert closed.reason in ("decryption failed or bad record mac", "record layer failure")
        assert stage.seen.all(events.Alert) == []

    run(main(), loop)


@directions
def test_a_broken_record_after_the_other_has_ended_changes_nothing_of_the_record(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    """Nobody is left to send an alert to: the FIN has gone out already."""

    async def main() -> None:
        async with a_stage(props) as stage:
            first, second = await a_pair(stage, direction, "TLSv1.3")
            await first.finish(notify=False)
            assert await second.read() == b""
            second.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.reason) == (direction, "eof", "")

    run(main(), loop)
