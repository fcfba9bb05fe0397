"""What comes out of the interceptor is what went in, byte for byte, and is understood."""

import asyncio
import contextlib
import hashlib
import socket
import threading
from typing import Any

import grpc
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import (
    AltSvcFrame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    WindowUpdateFrame,
)

from mitm import events
from mitm.address import Address, parse
from mitm.events import Direction
from tests.proxy.stage import (
    LIMIT,
    VERSIONS,
    End,
    LoopFactory,
    Props,
    a_stage,
    client_context,
    run,
    server_context,
)
from tests.transparency.play import (
    Methods,
    Watched,
    client_streaming,
    duplex,
    intercepting,
    path,
    played,
    server_streaming,
    unary,
)
from tests.wire.session import Session, told

Wire = list[tuple[Direction, bytes]]

TABLE = 64 * 1024
FRAME = 2**20
METHOD = "/a.B/C"

# More than a table of the default size holds, and than one frame of the default size.
LONG = [(b"x-%d" % number, 1_000 * (b"%d" % (number % 10))) for number in range(30)]


def a_rich_session() -> Session:
    """A bit of everything that HTTP/2 endpoints say to each other."""
    session = Session()
    sides: tuple[Direction, ...] = ("client", "server")
    wanted: dict[int, int] = {
        SettingCodes.HEADER_TABLE_SIZE: TABLE,
        SettingCodes.MAX_FRAME_SIZE: FRAME,
        SettingCodes.INITIAL_WINDOW_SIZE: 2**24,
    }
    for side in sides:
        session.settings(side, wanted)
        session.ping(side, b"01234567")
    session.exchange()
    for number in range(3):
        # The second and third time, all of the metadata is in the table.
        session.open(METHOD, LONG, grpc=True, end=False, weight=7)
        call = session.calls[-1]
        session.exchange()
        session.inform(call, [(b"x-early", b"hint")])
        session.push(call, "/pushed", [(b"x-pushed", b"yes")])
        session.answer(call, LONG, grpc=True, end=False)
        for side in sides:
            session.queue(side, call, bytes(range(256)) * 100, compressed=False)
            session.queue(side, call, b"", compressed=False)
            session.queue(side, call, b"\x1f\x8b rubbish", compressed=True)
            session.send(side, call, 3, padding=200, end=False)
            session.exchange()
            session.send(side, call, 60_000, padding=0, end=False)
            session.exchange()
        session.ping("client", b"%08d" % number)
        session.ping("server", b"%08d" % number)
        if number == 0:
            session.trailers("client", call, [(b"x-client", b"trailers")])
        if number == 1:
            session.reset("server", call)
            continue
        session.trailers("server", call, [(b"grpc-message", b"100%25"), (b"x-bin-bin", b"\0\xff")])
        session.exchange()
    # A peer that wants no table at all, and one that takes it back.
    session.settings("server", {SettingCodes.HEADER_TABLE_SIZE: 0})
    session.settings("client", {SettingCodes.HEADER_TABLE_SIZE: 0})
    session.exchange()
    session.open(METHOD, LONG, grpc=True, end=True, weight=0)
    session.exchange()
    session.answer(session.calls[-1], [(b"grpc-status", b"12")], grpc=True, end=True)
    session.exchange()
    return session


def unknown(type_: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of a type that nobody knows, which is ignored (RFC 9113 section 4.1)."""
    header = len(payload).to_bytes(3, "big") + bytes((type_, flags)) + stream.to_bytes(4, "big")
    return header + payload


# What h2 does not say by itself.
MORE: Wire = [
    ("client", PriorityFrame(1, depends_on=3, stream_weight=5, exclusive=True).serialize()),
    ("server", AltSvcFrame(0, origin=b"example.com", field=b'h2=":443"').serialize()),
    ("client", unknown(0xBE, 0x55, 0, b"what?")),
    ("server", unknown(0xEF, 0x00, 99, bytes(100))),
    ("client", WindowUpdateFrame(0, window_increment=2**20).serialize()),
    ("server", PingFrame(0, opaque_data=b"shutdown").serialize()),
    ("client", PingFrame(0, opaque_data=b"shutdown", flags=["ACK"]).serialize()),
    ("server", GoAwayFrame(0, 2**31 - 1, 0, b"graceful").serialize()),
    ("client", GoAwayFrame(0, 0, 11, b"too_many_pings").serialize()),
]


async def replay(wire: Wire, client: End, server: End) -> dict[Direction, str]:
    """Let both ends say what is on the wire, in order; give the hash of what arrived."""
    arrived = {"client": hashlib.sha256(), "server": hashlib.sha256()}
    for direction, data in wire:
        sender, receiver = (client, server) if direction == "client" else (server, client)
        received, _ = await asyncio.gather(receiver.read_exactly(len(data)), sender.send(data))
        arrived[direction].update(received)
    return {"client": arrived["client"].hexdigest(), "server": arrived["server"].hexdigest()}


def hashed(wire: Wire, direction: Direction) -> str:
    """The hash of what one side says."""
    return hashlib.sha256(b"".join(data for side, data in wire if side == direction)).hexdigest()


@pytest.mark.parametrize("protocol", ["plaintext", *VERSIONS])
def test_http2_passes_byte_for_byte_and_is_told_in_whole(
    props: Props, loop: LoopFactory, protocol: str
) -> None:
    session = a_rich_session()
    wire = session.wire + MORE

    async def main() -> None:
        async with a_stage(props) as stage:
            if protocol == "plaintext":
                client = await stage.dial()
                # The interceptor dials once it knows what the client speaks.
                await client.send(wire[0][1])
                server = await stage.server.accept()
                assert await server.read_exactly(len(wire[0][1])) == wire[0][1]
                arrived = await replay(wire[1:], client, server)
                expected = {side: hashed(wire[1:], side) for side in arrived}
            else:
                version = VERSIONS[protocol]
                client, server = await stage.connect(
                    client_context(alpn=("h2",), version=version),
                    server_context(props.genuine, alpn=("h2",), version=version),
                )
                arrived = await replay(wire, client, server)
                expected = {side: hashed(wire, side) for side in arrived}
            assert arrived == expected
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
        seen = stage.seen
        assert seen.all(events.ParseFailed) == []
        assert [
            told(event)
            for event in seen.events
            if isinstance(event, events.Headers | events.Message)
        ] == session.said
        assert closed.client_bytes == sum(len(data) for side, data in wire if side == "client")
        assert closed.server_bytes == sum(len(data) for side, data in wire if side == "server")
        if protocol != "plaintext":
            assert seen.one(events.HandshakeCompleted).version == protocol

    run(main(), loop)


def test_the_rich_session_holds_what_it_is_meant_to_hold(props: Props) -> None:
    """A large table that is used, and frames and blocks beyond the default size."""

    async def main() -> list[events.Frame]:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(alpn=("h2",)), server_context(props.genuine, alpn=("h2",))
            )
            await replay(a_rich_session().wire + MORE, client, server)
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        return stage.seen.all(events.Frame)

    frames = run(main())
    blocks = [f.length for f in frames if f.type == "HEADERS" and f.direction == "client"]
    first, second, third, *_ = blocks
    assert first > 10_000
    # An index for each field, in place of a thousand bytes.
    assert max(second, third) < 10 * len(LONG)
    assert max(f.length for f in frames if f.type == "DATA") > 16_384
    types = {f.type for f in frames}
    assert types >= {"PUSH_PROMISE", "RST_STREAM", "PRIORITY", "ALTSVC", "0xBE", "0xEF", "GOAWAY"}
    acks = [(f.direction, f.detail) for f in frames if f.type == "PING" and "ACK" in f.flags]
    assert {side for side, _ in acks} == {"client", "server"}


# What a real client and a real server say


class Recorder:
    """Relays one connection to an address, and hashes what passes."""

    def __init__(self, upstream: Address) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT)
        self._hashes = {"client": hashlib.sha256(), "server": hashlib.sha256()}
        self._bytes = {"client": 0, "server": 0}
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        return Address(*self._listener.getsockname())

    def _relay(self) -> None:
        with (
            self._listener,
            self._listener.accept()[0] as client,
            socket.create_connection(self._upstream) as server,
        ):
            answers = threading.Thread(target=self._pump, args=("server", server, client))
            answers.start()
            self._pump("client", client, server)
            answers.join()

    def _pump(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._hashes[direction].update(data)
                self._bytes[direction] += len(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def passed(self) -> dict[str, tuple[int, str]]:
        """Of each direction, how many bytes and their hash, once the connection is over."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        return {side: (self._bytes[side], self._hashes[side].hexdigest()) for side in self._bytes}


def use(channel: Any) -> None:
    """Calls of all kinds."""
    metadata = (("x-long", "v" * 3_000), ("x-bin", bytes(range(256))))
    for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
        call = channel.unary_unary(path("Unary"))
        request = bytes(range(256)) * 1_000
        answered, _ = call.with_call(
            request, timeout=LIMIT, metadata=metadata, compression=compression
        )
        assert answered == request
    parts = [bytes([number]) * number * 100 for number in range(50)]
    joined = channel.stream_unary(path("Join"))(iter(parts), timeout=LIMIT)
    assert joined == b"".join(parts)
    split = channel.unary_stream(path("Split"))(joined, timeout=LIMIT)
    assert b"".join(split) == joined
    assert list(channel.stream_stream(path("Echo"))(iter(parts), timeout=LIMIT)) == parts
    left = channel.stream_stream(path("Echo"))(iter(parts), timeout=LIMIT)
    assert next(left) == parts[0]
    left.cancel()
    with pytest.raises(grpc.RpcError):
        channel.unary_unary(path("Unknown"))(b"", timeout=LIMIT)


def test_what_grpcio_says_passes_byte_for_byte(props: Props) -> None:
    methods: Methods = {
        "Unary": unary(lambda request, context: request),
        "Join": client_streaming(lambda requests, context: b"".join(requests)),
        "Split": server_streaming(
            lambda request, context: (request[at : at + 999] for at in range(0, len(request), 999))
        ),
        "Echo": duplex(lambda requests, context: requests),
    }
    seen = Watched()
    with played("straight-h2c", props, methods) as p:
        behind = Recorder(parse(p.target))
        with intercepting(props, behind.address, seen) as interceptor:
            before = Recorder(interceptor)
            p.target = str(before.address)
            with p.channel() as channel:
                use(channel)
            passed = before.passed()
            assert passed == behind.passed()
    assert seen.all(events.ParseFailed) == []
    closed = seen.one(events.Closed)
    assert (closed.client_bytes, closed.server_bytes) == (passed["client"][0], passed["server"][0])
    assert closed.client_bytes > 200_000
    assert closed.server_bytes > 1_000_000
