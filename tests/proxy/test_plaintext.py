"""What a client says in plaintext that is no HTTP: it is turned away, and it is evidence."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mitm import events
from mitm.capture import Recorder
from mitm.proxy import Interceptor, arrival, transparent
from tests.proxy.stage import (
    LOCALHOST,
    PREFACE,
    End,
    Ends,
    LoopFactory,
    Props,
    Seen,
    Server,
    a_server,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)

TOKEN = b"Bearer a-secret-token"
REQUEST = (
    b"POST /users.v1.UserService/GetUser HTTP/1.1\r\nHost: localhost\r\n"
    b"Authorization: " + TOKEN + b"\r\nContent-Length: 0\r\n\r\n"
)

APPLICATION_DATA = {
    "a token": TOKEN,
    "a line": b"token 12345\n",
    "a byte": b"\0",
    "a preface that goes on otherwise": b"PRI * HTTP/1.1\r\n\r\n" + TOKEN,
    "the byte of a handshake, and no version": b"\x16" + TOKEN,
    "more than a sample": b"x" * 100,
}

# As a TLS record begins: the content types 20 to 23, and the version.
TLS = {
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "a ServerHello": b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    "an empty record": b"\x16\x03\x01\x00\x00",
    "a ClientHello of another length than it says": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
}


def must_be_told(seen: Seen, said: bytes) -> None:
    data = seen.one(events.ApplicationData)
    assert (data.direction, data.encrypted, data.sample) == ("client", False, said[:64])
    closed = seen.one(events.Closed)
    assert (closed.by, closed.how, closed.phase) == ("attacker", "not-tls", "hello")
    assert (closed.client_bytes, closed.server_bytes) == (len(said), 0)
    assert closed.reason == f"neither TLS nor HTTP; received {len(said)} bytes"
    assert seen.events.index(data) < seen.events.index(closed)
    assert seen.all(events.ParseFailed) == []
    must_not_quote(seen)


def must_not_quote(seen: Seen) -> None:
    """No reason holds a byte of a peer: it goes into reports, and would differ from run to run."""
    for event in seen.events:
        reason = getattr(event, "reason", "")
        assert "token" not in reason
        assert "b'" not in reason
        assert "0x" not in reason


@pytest.mark.parametrize("said", APPLICATION_DATA.values(), ids=APPLICATION_DATA)
def test_a_client_that_speaks_in_plaintext_is_read_before_it_is_turned_away(
    props: Props, loop: LoopFactory, said: bytes
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(said)
            await stage.seen.closed()
            with contextlib.suppress(ConnectionResetError):
                assert await client.read() == b""
            assert stage.seen.all(events.UpstreamConnected) == []
        must_be_told(stage.seen, said)

    run(main(), loop)


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("said", [b"tok", REQUEST[:40]], ids=["a token", "half a request"])
def test_a_client_that_speaks_in_plaintext_and_goes_at_once_is_read(
    props: Props, loop: LoopFactory, said: bytes, how: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = socket.create_connection(stage.interceptor.address)
            client.sendall(said)
            if how == "RST":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await stage.seen.closed()
        must_be_told(stage.seen, said)

    run(main(), loop)


def test_a_request_line_that_does_not_end_is_not_waited_for_without_end(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.05)

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(REQUEST[:40])
            await stage.seen.closed()
        must_be_told(stage.seen, REQUEST[:40])

    run(main(), loop)


def test_a_stop_while_a_request_line_is_waited_for_loses_nothing(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(REQUEST[:40])
            # It is in the socket; the loop has to come by to hear it.
            for _ in range(100):
                await asyncio.sleep(0)
        closed = stage.seen.one(events.Closed)
        assert (closed.reason, closed.client_bytes) == ("the interceptor was stopped", 40)
        assert stage.seen.one(events.ApplicationData).sample == REQUEST[:40]

    run(main(), loop)


# What is no application data


@pytest.mark.parametrize("said", TLS.values(), ids=TLS)
def test_what_begins_as_tls_is_no_application_data(
    props: Props, loop: LoopFactory, said: bytes
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(said)
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.client_bytes) == ("attacker", "not-tls", 0)
        assert closed.reason.startswith("neither TLS nor HTTP: ")
        assert closed.reason.endswith(f"; received {len(said)} bytes")
        assert stage.seen.all(events.ApplicationData) == []
        must_not_quote(stage.seen)

    run(main(), loop)


@pytest.mark.parametrize("said", [b"", PREFACE[:1], PREFACE[:23], b"\x16", b"\x16\x03\x01\x02"])
@pytest.mark.parametrize("leaves", [True, False])
def test_what_breaks_off_before_it_is_clear_is_no_application_data(
    props: Props, loop: LoopFactory, said: bytes, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not leaves:
        monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.05)

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(said)
            if leaves:
                await client.finish()
            closed = await stage.seen.closed()
        expected = ("client", "eof") if leaves else ("attacker", "time-limit")
        assert (closed.by, closed.how) == expected
        assert closed.reason.endswith(f"received {len(said)} bytes")
        assert closed.client_bytes == 0
        assert stage.seen.all(events.ApplicationData) == []

    run(main(), loop)


def test_its_twin_that_speaks_tls_has_said_nothing_in_plaintext(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(client_context(), server_context(props.genuine))
            await client.send(REQUEST)
            assert await server.read_exactly(len(REQUEST)) == REQUEST
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
        data = stage.seen.one(events.ApplicationData)
        assert (data.encrypted, data.sample) == (True, REQUEST[:64])
        assert (closed.by, closed.how) == ("client", "close-notify")
        assert stage.seen.one(events.Headers).kind == "request"

    run(main(), loop)


# Clients that come another way


Way = Callable[..., contextlib.AbstractAsyncContextManager[tuple[End, Server, Seen]]]


@contextlib.asynccontextmanager
async def by_connect(
    props: Props, host: str, **more: object
) -> AsyncIterator[tuple[End, Server, Seen]]:
    async with (
        Ends() as ends,
        a_server(ends) as server,
        Interceptor(
            mode="connect",
            upstream=None,
            intercept=[host],
            choose=presenting(props.forged),
            on_event=(seen := Seen()),
            **more,  # type: ignore[arg-type]
        ) as interceptor,
    ):
        client = await ends.dial(interceptor.address)
        await client.send(f"CONNECT {server.address} HTTP/1.1\r\n\r\n".encode())
        assert (await client.read()).startswith(b"HTTP/1.1 200")
        yield client, server, seen


@contextlib.asynccontextmanager
async def redirected(
    props: Props, host: str, **more: object
) -> AsyncIterator[tuple[End, Server, Seen]]:
    async with Ends() as ends, a_server(ends) as server:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(transparent, "original_destination", lambda _: server.address)
            async with Interceptor(
                mode="transparent",
                upstream=None,
                intercept=[host],
                choose=presenting(props.forged),
                on_event=(seen := Seen()),
                **more,  # type: ignore[arg-type]
            ) as interceptor:
                yield await ends.dial(interceptor.address), server, seen


@pytest.mark.parametrize("way", [by_connect, redirected])
@pytest.mark.parametrize("said", [TOKEN, REQUEST[:40]], ids=["a token", "half a request"])
def test_a_host_under_test_is_told_of_whichever_way_its_client_comes(
    props: Props, loop: LoopFactory, way: Way, said: bytes
) -> None:
    async def main() -> Seen:
        async with way(props, LOCALHOST.host) as (client, _, seen):
            await client.send(said)
            await client.finish()
            await seen.closed()
            return seen

    seen = run(main(), loop)
    must_be_told(seen, said)
    assert seen.all(events.Tunnelled) == []


@pytest.mark.parametrize("way", [by_connect, redirected])
def test_its_twin_that_is_not_under_test_is_passed_on_unread(
    props: Props, loop: LoopFactory, way: Way
) -> None:
    async def main() -> Seen:
        async with way(props, "other.example") as (client, server, seen):
            await client.send(REQUEST)
            accepted = await server.accept()
            assert await accepted.read_exactly(len(REQUEST)) == REQUEST
            await client.finish()
            await accepted.finish()
            await seen.closed()
            return seen

    seen = run(main(), loop)
    assert len(seen.all(events.Tunnelled)) == 1
    assert seen.all(events.ApplicationData) == []
    assert seen.one(events.Closed).client_bytes == 0


def test_what_was_said_to_a_host_under_test_is_in_the_capture(
    props: Props, loop: LoopFactory, tmp_path: Path
) -> None:
    pcap = tmp_path / "a.pcapng"
    recorder = Recorder(pcap, None)

    async def main() -> None:
        async with by_connect(props, LOCALHOST.host, tap=recorder) as (client, _, seen):
            await client.send(TOKEN)
            await seen.closed()

    run(main(), loop)
    recorder.close()
    assert TOKEN in pcap.read_bytes()
