"""The interceptor as a whole: it listens, serves many at once, and leaves nothing behind."""

import asyncio
import contextlib
import errno
import gc
import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mitm import events
from mitm.address import Address
from mitm.errors import UserError
from mitm.proxy import Interceptor, arrival, connection, greeting, interceptor
from mitm.proxy.connection import Connection
from mitm.proxy.peer import Peer
from mitm.proxy.watcher import Watcher
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    SETTINGS,
    End,
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

# Each has an end of its own in the client, the server, and twice in the interceptor.
MANY = 200


def an_interceptor(
    props: Props,
    listen: Address,
    seen: Seen | None = None,
    on_loss: Callable[[str], None] = print,
) -> Interceptor:
    return Interceptor(
        listen=listen,
        upstream=LOCALHOST,
        choose=presenting(props.forged),
        schema=props.schema,
        on_event=seen or Seen(),
        on_loss=on_loss,
    )


def dial_now(address: Address) -> socket.socket:
    """Connect without giving the event loop a chance to notice."""
    return socket.create_connection(address)


# Listening


def test_no_port_is_chosen_again_soon(props: Props, loop: LoopFactory) -> None:
    """A client that keeps a channel for an address would take one case for another.

    Of so many that the kernel chooses by chance, two are the same nearly always.
    """

    async def main() -> None:
        ports = []
        for _ in range(600):
            async with an_interceptor(props, Address("localhost", 0)) as interceptor:
                ports.append(interceptor.address.port)
        assert len({*ports}) == len(ports)

    run(main(), loop)


def test_where_there_is_no_other_port_one_is_chosen_again(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mitm.proxy.interceptor._is_new", lambda port: False)

    async def main() -> None:
        async with an_interceptor(props, LOCALHOST) as interceptor:
            dial_now(interceptor.address).close()

    run(main(), loop)


def test_a_port_that_is_taken_is_refused_with_the_way_out(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with an_interceptor(props, LOCALHOST) as first:
            address = first.address
            with pytest.raises(UserError) as error:
                async with an_interceptor(props, address):
                    pass
        assert str(error.value) == (
            f"cannot listen on {address}: Address already in use; "
            "choose another address with --listen"
        )
        # The twin: now it is free.
        async with an_interceptor(props, address) as second:
            assert second.address == address

    run(main(), loop)


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "Cannot assign requested address"), ("a..b", "not a host name")],
)
def test_an_address_that_is_not_here_is_refused(props: Props, host: str, reason: str) -> None:
    async def main() -> None:
        with pytest.raises(UserError, match=f"cannot listen on {host}:0: {reason}; .*--listen"):
            async with an_interceptor(props, Address(host, 0)):
                pass

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_can_be_dialled_where_it_says_it_listens(
    props: Props, loop: LoopFactory, host: str
) -> None:
    async def main() -> None:
        async with an_interceptor(props, Address(host, 0), seen := Seen()) as listening:
            assert listening.address.port != 0
            dial_now(listening.address).close()
            client = (await seen.wait(events.Connected)).client
            assert client.startswith("[::1]:" if ":" in listening.address.host else "127.0.0.1:")

    run(main(), loop)


def test_a_name_is_listened_on_at_each_of_its_addresses(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of `localhost` try one after the other, and not all in the same order."""

    async def resolve(host: str, port: int, **_: object) -> list[object]:
        kind = socket.SOCK_STREAM
        return [
            (socket.AF_INET6, kind, 6, "", ("2001:db8::1", port, 0, 0)),  # not on this machine
            (socket.AF_INET, kind, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, kind, 6, "", ("127.0.0.2", port)),
        ]

    async def main() -> None:
        with socket.create_server(LOCALHOST) as free:
            port = free.getsockname()[1]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        async with an_interceptor(props, Address("name.example", port)):
            for host in ("127.0.0.1", "127.0.0.2"):
                dial_now(Address(host, port)).close()

    run(main())


def test_out_of_file_descriptors_a_client_waits_is_told_once_and_is_served(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptor, "ACCEPT_RETRY_SECONDS", 0.01)
    accept = socket.socket.accept
    attempts: list[int] = []

    def scarce(listener: socket.socket) -> object:
        attempts.append(1)
        if len(attempts) < 10:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return accept(listener)

    async def main() -> None:
        lines: list[str] = []
        async with an_interceptor(props, LOCALHOST, seen := Seen(), lines.append) as listening:
            with monkeypatch.context() as patched:
                patched.setattr(socket.socket, "accept", scarce)
                with dial_now(listening.address):
                    await seen.wait(events.Connected)
        assert seen.one(events.Closed)
        (line,) = lines
        assert "new clients wait until others are gone: Too many open files" in line

    run(main(), loop)


# Many at once


def test_many_connections_at_once_are_each_relayed_and_recorded(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All four ends of all of them share one thread, which may have to share its core.
    monkeypatch.setattr(arrival, "HELLO_SECONDS", LIMIT)
    monkeypatch.setattr(arrival, "DIAL_SECONDS", LIMIT)
    monkeypatch.setattr(greeting, "HANDSHAKE_SECONDS", LIMIT)

    async def main() -> None:
        async with a_stage(props) as stage:
            context, trusting = server_context(props.genuine), client_context()

            async def serve() -> None:
                server = await stage.server.accept(context)
                await server.send(await server.read_exactly(8))
                await server.finish()

            async def call(number: int) -> None:
                client = await stage.dial()
                await client.handshake(trusting, name="localhost")
                await client.send(number.to_bytes(8, "big"))
                assert await client.read_exactly(8) == number.to_bytes(8, "big")
                await client.finish()
                assert await client.read() == b""

            async with asyncio.TaskGroup() as group:
                for number in range(MANY):
                    group.create_task(serve())
                    group.create_task(call(number))
            await stage.interceptor.drain(LIMIT)
        assert ends_of(stage) == {"server": MANY}
        for kind in (events.ClientHello, events.HandshakeCompleted, events.UpstreamConnected):
            assert {event.connection for event in stage.seen.all(kind)} == set(range(1, MANY + 1))
        numbers = {
            int.from_bytes(data.sample, "big")
            for data in stage.seen.all(events.ApplicationData, direction="client")
        }
        assert numbers == set(range(MANY))

    run(main(), loop)


def ends_of(stage: Stage) -> Counter[str]:
    """Who ended the connections; each must have begun once and ended once, in that order."""
    per_connection: dict[int, list[events.Event]] = {}
    for event in stage.seen.events:
        per_connection.setdefault(event.connection, []).append(event)
    ends: Counter[str] = Counter()
    for seen in per_connection.values():
        kinds = [type(event) for event in seen]
        assert (kinds[0], kinds.count(events.Connected)) == (events.Connected, 1)
        assert (kinds[-1], kinds.count(events.Closed)) == (events.Closed, 1)
        (closed,) = (event for event in seen if isinstance(event, events.Closed))
        ends[closed.by] += 1
    return ends


# Leaving nothing behind


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()}


async def clients_in_every_phase(stage: Stage) -> list[End]:
    """Five clients, each of which has come to another point, and their servers."""
    silent = await stage.dial()
    await stage.seen.wait(events.Connected)

    handshaking = await stage.dial()
    await handshaking.send(a_hello())
    its_server = await stage.server.accept(server_context(stage.props.genuine))
    await stage.seen.wait(events.CertificatePresented)

    idle = await stage.connect()
    await stage.seen.wait(events.HandshakeCompleted)

    half_closed = await stage.connect_plaintext()
    await half_closed[0].finish()
    assert await half_closed[1].read() == b""

    # The last one is held up: what it sends is not read.
    flooding = await stage.connect()
    await flooding[0].flood(flooding[1])
    flooding[1].writer.transport.resume_reading()  # type: ignore[attr-defined]
    return [silent, handshaking, its_server, *idle, *half_closed, *flooding]


def test_its_end_is_the_end_of_every_connection_and_none_is_lost_from_the_record(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            tasks = asyncio.all_tasks()
            ends = await clients_in_every_phase(stage)
            assert len(asyncio.all_tasks() - tasks) >= 5
            await stage.interceptor.__aexit__(None, None, None)
            assert asyncio.all_tasks() == tasks
            assert len(stage.seen.all(events.Connected)) == 5
            assert ends_of(stage) == {"attacker": 4, "client": 1}
            for closed in stage.seen.all(events.Closed, by="attacker"):
                assert closed.reason == "the interceptor was stopped"
            # Each of the nine sockets is gone, whatever was on its way.
            for end in ends:
                with contextlib.suppress(ConnectionResetError):
                    await end.read_all()

    files = open_files()
    run(main(), loop)
    assert open_files() == files


def test_its_port_is_free_after_its_end(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            # A connection that the interceptor ends itself leaves the port in TIME_WAIT.
            await stage.connect()
            address = stage.interceptor.address
            await stage.interceptor.__aexit__(None, None, None)
            with pytest.raises(ConnectionRefusedError):
                dial_now(address)
            async with an_interceptor(props, address) as again:
                dial_now(again.address).close()

    run(main(), loop)


def test_a_client_that_has_just_been_accepted_is_not_lost_from_the_record(
    props: Props, loop: LoopFactory
) -> None:
    """Its task has not run yet when the interceptor ends."""

    async def main() -> None:
        seen = Seen()
        with socket.socket() as client:
            async with an_interceptor(props, LOCALHOST, seen) as listening:
                client.connect(listening.address)
                listening._accept()  # as the loop does, the moment before it ends
            client.settimeout(LIMIT)
            assert client.recv(1) == b""
        assert len(seen.all(events.Connected)) == 1
        assert seen.one(events.Closed).reason == "the interceptor was stopped"

    run(main(), loop)


def test_a_stop_in_the_middle_of_a_stop_loses_nothing(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async def interceptor_and_clients() -> None:
            async with a_stage(props) as stage:
                seen.append(stage)
                await stage.connect()
                await stage.seen.wait(events.HandshakeCompleted)
                ready.set()
                await asyncio.sleep(1000)

        ready = asyncio.Event()
        seen: list[Stage] = []
        playing = asyncio.create_task(interceptor_and_clients())
        await ready.wait()
        playing.cancel()
        await asyncio.sleep(0)
        playing.cancel()
        await asyncio.wait([playing])
        assert ends_of(seen[0]) == {"attacker": 1}

    run(main(), loop)


def test_a_peer_that_does_not_take_its_last_bytes_is_cut_off(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            await server.flood(client)
            client.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))  # a broken record
            assert (await stage.seen.closed()).how == "error"
            await stage.interceptor.drain(LIMIT)
            with pytest.raises(ConnectionError):
                await client.send_without_end()

    run(main(), loop)


def test_a_stop_does_not_wait_for_a_peer_that_does_not_read(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 2 * LIMIT)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            await server.flood(client)
            await stage.interceptor.__aexit__(None, None, None)
            assert stage.seen.one(events.Closed).reason == "the interceptor was stopped"

    run(main(), loop)


def test_a_connection_that_is_over_is_forgotten(props: Props) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            for _ in range(10):
                client, server = await stage.connect()
                await client.finish()
                await server.finish()
            await stage.interceptor.drain(LIMIT)
            stage.seen.events.clear()
            gc.collect()
            kept = [o for o in gc.get_objects() if isinstance(o, (Connection, Peer, Watcher))]
            assert kept == []
            # The twin: one that is not over is there.
            await stage.connect()
            assert any(isinstance(o, Connection) for o in gc.get_objects())

    run(main())


# Draining


def test_draining_waits_for_a_client_that_has_come_and_gone_unnoticed(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with an_interceptor(props, LOCALHOST, seen := Seen()) as listening:
            with dial_now(listening.address) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await listening.drain(LIMIT)
            closed = seen.one(events.Closed)
            assert (closed.how, closed.client_bytes) == ("error", 18)

    run(main(), loop)


def test_draining_waits_for_those_who_are_there(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect_plaintext()
            draining = asyncio.create_task(stage.interceptor.drain(LIMIT))
            await client.send(b"one")
            assert await server.read_exactly(3) == b"one"
            assert not draining.done()
            await client.finish()
            await server.finish()
            await draining
            assert stage.seen.one(events.Closed)

    run(main(), loop)


def test_draining_gives_up_at_its_limit(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect_plaintext()
            await stage.interceptor.drain(0.01)
            assert stage.seen.all(events.Closed) == []
            await client.send(b"still relayed")
            assert await server.read_exactly(13) == b"still relayed"

    run(main(), loop)


# A gRPC call of empty messages in DATA frames of the default size (RFC 9113 section 6.5.2).
FRAMES = 4
IN_FRAME = 3_000


def test_a_client_waits_for_no_other_one_to_be_looked_at(props: Props, loop: LoopFactory) -> None:
    """Whatever one of them sends at once, what another sends passes meanwhile."""
    block = b"\x83\x86\x04\x02/x\x0f\x10\x10application/grpc"
    flood = b"%b\x01\x04\0\0\0\x01%b" % (len(block).to_bytes(3, "big"), block)
    data = b"\0\0\0\0\0" * IN_FRAME
    flood += FRAMES * (b"%b\0\0\0\0\0\x01%b" % (len(data).to_bytes(3, "big"), data))

    async def main() -> None:
        async with a_stage(props) as stage:
            other, its_server = await stage.connect()
            client, server = await stage.connect_plaintext()
            await client.send(SETTINGS + flood)
            await stage.seen.wait(events.Message)
            await other.send(b"x")
            assert await its_server.read_exactly(1) == b"x"
            told = len(stage.seen.all(events.Message))
            assert told < FRAMES * IN_FRAME / 2
            # Nothing of it is lost.
            await client.finish()
            await server.read_all()
            await server.finish()
            await stage.seen.wait(events.Closed, connection=2)
            assert len(stage.seen.all(events.Message)) == FRAMES * IN_FRAME

    run(main(), loop)


@pytest.mark.parametrize(("at_once", "times"), [(3, 1), (2, 0)])
def test_memory_is_given_back_once_the_last_of_many_clients_is_gone(
    props: Props, monkeypatch: pytest.MonkeyPatch, at_once: int, times: int
) -> None:
    given_back: list[None] = []
    monkeypatch.setattr(interceptor, "MANY", 3)
    monkeypatch.setattr(interceptor, "give_back", lambda: given_back.append(None))

    async def main() -> None:
        async with an_interceptor(props, LOCALHOST, seen := Seen()) as listening:
            clients = [dial_now(listening.address) for _ in range(at_once)]
            for number in range(1, at_once + 1):
                await seen.wait(events.Connected, connection=number)
            for client in clients:
                assert given_back == []
                client.close()
            await listening.drain(LIMIT)
        assert len(given_back) == times

    run(main())
