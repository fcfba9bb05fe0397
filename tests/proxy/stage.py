"""What the interceptor's tests are played with: a client's end, a server's end, and what was seen.

Both ends are driven by the test itself, byte by byte where it matters. TLS is Python's `ssl` over
memory, since asyncio's own TLS knows neither half-close nor where a handshake stands.
"""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mitm import events, pki
from mitm.address import Address
from mitm.events import Event
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.tls import Hello

T = TypeVar("T")
E = TypeVar("E", bound=Event)
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
with contextlib.suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

LOCALHOST = Address("127.0.0.1", 0)

# Who has stopped reading is told from who is slow by so many seconds without progress.
STALLED = 0.2

# Seconds after which a test hangs. Generous: the machine may be busy.
LIMIT = 60

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")


class Props(NamedTuple):
    """What the tests share.

    Attributes:
        misnamed: the attacker's chain for `other.example`; the others are for `localhost`.
        lab_ca: the anchor of the genuine chain, attacker_ca that of the forged ones; PEM files.
    """

    genuine: pki.Chain
    forged: pki.Chain
    misnamed: pki.Chain
    lab_ca: Path
    attacker_ca: Path
    schema: Schema


def rounded_up(timeout: float) -> float:
    """The most that grpcio tells a server of a timeout; in seconds, as the timeout.

    The core tells whole milliseconds, and about three digits of what is longer. It rounds up.
    """
    return timeout * 1.01 + 0.001


def run(main: Coroutine[Any, Any, T], loop: LoopFactory = asyncio.new_event_loop) -> T:
    """Run a test's coroutine, and see that it leaves neither a task nor an error behind."""
    errors: list[dict[str, Any]] = []

    async def limited() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        async with asyncio.timeout(LIMIT):
            result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=loop) as runner:
        result = runner.run(limited())
    # Whatever was left open warns now, in the test that it belongs to.
    gc.collect()
    assert errors == []
    return result


class Seen:
    """The events of an interceptor, and a way to wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def all(self, kind: type[E], /, **fields: object) -> list[E]:
        """The events of a kind whose fields have these values, in order."""
        return [
            event
            for event in self.events
            if isinstance(event, kind)
            and all(getattr(event, name) == value for name, value in fields.items())
        ]

    def one(self, kind: type[E], /, **fields: object) -> E:
        """The only such event."""
        (event,) = self.all(kind, **fields)
        return event

    async def wait(self, kind: type[E], /, **fields: object) -> E:
        """The first such event, once it is there."""
        while not (found := self.all(kind, **fields)):
            self._changed.clear()
            await self._changed.wait()
        return found[0]

    async def closed(self) -> events.Closed:
        """The end of the first connection."""
        return await self.wait(events.Closed)


class End:
    """One end of a connection: plaintext, or TLS once `handshake` was called.

    Attributes:
        notified: whether the other end has sent close_notify.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.notified = False

    @property
    def tls(self) -> ssl.SSLObject:
        assert self._tls
        return self._tls

    async def handshake(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
        then: Callable[[ssl.SSLObject], object] = lambda tls: None,
    ) -> None:
        """Complete a handshake; raises what `ssl` raises, after its alert has been sent.

        Args:
            session: of an earlier connection, which is offered to the server.
            then: says more in the same breath as the last of the handshake.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side, name, session)
        self._tls = tls

        def step() -> None:
            tls.do_handshake()
            then(tls)

        await self._do(step)

    async def _do(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._reader.read(65_536)
                if not data:
                    raise EOFError from None
                self._incoming.write(data)
                continue
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
            await self._flush()
            return result

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self.writer.write(data)
            await self.writer.drain()

    async def send(self, data: bytes) -> None:
        if self._tls:
            self._tls.write(data)
            await self._flush()
        else:
            self.writer.write(data)
            await self.writer.drain()

    async def send_without_end(self) -> None:
        """Send until it is known that nobody takes it."""
        while True:
            await self.send(bytes(2**18))

    async def flood(self, reader: "End") -> None:
        """Send to an end that no longer reads, until all buffers between the two are full."""
        transport = reader.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(self.send(bytes(2**25)))
        left = -1
        while left != (left := self.writer.transport.get_write_buffer_size()) or not left:
            await asyncio.wait([sending], timeout=STALLED)
        sending.cancel()
        await asyncio.wait([sending])

    async def read(self) -> bytes:
        """Whatever comes next; b"" at the end, be it close_notify or FIN."""
        if not self._tls:
            return await self._reader.read(65_536)
        tls = self._tls
        try:
            data = await self._do(lambda: tls.read(65_536))
        except EOFError:
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        self.notified = self.notified or not data
        return data

    async def read_exactly(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            data = await self.read()
            assert data, f"it ended after {len(received)} of {length} bytes"
            received += data
        assert len(received) == length
        return bytes(received)

    async def read_all(self) -> bytes:
        received = bytearray()
        while data := await self.read():
            received += data
        return bytes(received)

    async def finish(self, *, notify: bool = True) -> None:
        """End this direction: close_notify where there is TLS, then FIN."""
        if self._tls and notify:
            # Python goes on to wait for the other's close_notify, which a half-close does not.
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._flush()
        self.writer.write_eof()

    async def complain(self) -> None:
        """Have OpenSSL say what it says where the other has ended without a close_notify."""
        self._incoming.write_eof()
        with contextlib.suppress(ssl.SSLError):
            self.tls.read()
        await self._flush()

    def reset(self) -> None:
        """Send RST."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()


class Ends(contextlib.AsyncExitStack):
    """Opens ends, and lets go of all of them."""

    def adopt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> End:
        self.push_async_callback(_let_go, writer)
        return End(reader, writer)

    async def dial(self, address: Address) -> End:
        return self.adopt(*await asyncio.open_connection(*address))


async def _let_go(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Server:
    """A server's listening socket; the test takes the connections one by one."""

    def __init__(self, ends: Ends) -> None:
        self._accepted: asyncio.Queue[End] = asyncio.Queue()
        self._ends = ends
        self.address = LOCALHOST

    def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted.put_nowait(self._ends.adopt(reader, writer))

    async def accept(self, context: ssl.SSLContext | None = None) -> End:
        """The next connection, with its TLS handshake completed where there is a context."""
        end = await self._accepted.get()
        if context:
            await end.handshake(context, server_side=True)
        return end


@contextlib.asynccontextmanager
async def a_server(ends: Ends) -> AsyncIterator[Server]:
    server = Server(ends)
    listening = await asyncio.start_server(server.accepted, *LOCALHOST, backlog=512)
    server.address = Address(*listening.sockets[0].getsockname()[:2])
    try:
        yield server
    finally:
        # Not waited for: from Python 3.12 on that would wait for the connections as well, which the
        # test lets go of later.
        listening.close()


class Stage(NamedTuple):
    """An interceptor between a server and whoever dials it."""

    props: Props
    seen: Seen
    server: Server
    interceptor: Interceptor
    ends: Ends

    async def dial(self) -> End:
        """A client's socket."""
        return await self.ends.dial(self.interceptor.address)

    async def connect(
        self,
        client: ssl.SSLContext | None = None,
        server: ssl.SSLContext | None = None,
        *,
        name: str | None = "localhost",
    ) -> tuple[End, End]:
        """A client and a server who have completed TLS with the interceptor."""
        dialled = await self.dial()
        accepting = asyncio.create_task(
            self.server.accept(server or server_context(self.props.genuine))
        )
        await dialled.handshake(client or client_context(), name=name)
        return dialled, await accepting

    async def connect_plaintext(self) -> tuple[End, End]:
        """A client and a server without TLS; the preface of HTTP/2 has passed between them."""
        dialled = await self.dial()
        await dialled.send(PREFACE)
        accepted = await self.server.accept()
        assert await accepted.read_exactly(len(PREFACE)) == PREFACE
        return dialled, accepted


@contextlib.asynccontextmanager
async def a_stage(
    props: Props,
    *,
    choose: Callable[[Hello], pki.Presentation] | None = None,
    upstream: Address | None = None,
    upstream_tls: bool | None = None,
    on_event: Callable[[Event], None] | None = None,
    tap: Tap | None = None,
    rules: Rules | None = None,
    on_loss: Callable[[str], None] | None = None,
    client_certificate: pki.Chain | None = None,
    ask_client: bool | None = None,
    goes_on_alone: bool = True,
) -> AsyncIterator[Stage]:
    """An interceptor that presents the forged chain, and a server behind it.

    Args:
        choose: presents another chain.
        upstream: another server.
        upstream_tls: whether it is spoken to in TLS; None for as the client speaks.
        on_event: called with each event, after it was noted.
        tap: is shown what passes on the interceptor's sockets.
        rules: what is to be changed.
        on_loss: is told that an observer has failed; without, none may.
        client_certificate, ask_client, goes_on_alone: see `Interceptor`.
    """
    seen = Seen()
    losses: list[str] = []

    def see(event: Event) -> None:
        seen(event)
        if on_event:
            on_event(event)

    async with (
        Ends() as ends,
        a_server(ends) as server,
        Interceptor(
            listen=LOCALHOST,
            upstream=upstream or server.address,
            upstream_tls=upstream_tls,
            choose=choose or presenting(props.forged),
            schema=props.schema,
            on_event=see,
            tap=tap,
            rules=rules,
            on_loss=on_loss or losses.append,
            client_certificate=client_certificate,
            ask_client=ask_client,
            goes_on_alone=goes_on_alone,
        ) as interceptor,
    ):
        yield Stage(props, seen, server, interceptor, ends)
    assert losses == []


def presenting(chain: pki.Chain) -> Callable[[Hello], pki.Presentation]:
    """Present a chain to every client."""
    return choosing(lambda hello: chain)


def choosing(choose: Callable[[Hello], pki.Chain]) -> Callable[[Hello], pki.Presentation]:
    """Present to each client the chain that is chosen for it."""
    presented: dict[pki.Chain, pki.Presentation] = {}

    def present(hello: Hello) -> pki.Presentation:
        chain = choose(hello)
        if chain not in presented:
            presented[chain] = pki.Presentation(chain)
        return presented[chain]

    return present


def client_context(
    *, trust: Path | None = None, alpn: tuple[str, ...] = (), version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """A client's TLS: verifies against an anchor, or nothing at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust:
        context.load_verify_locations(trust)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return _tuned(context, alpn, version)


def a_hello(context: ssl.SSLContext | None = None, name: str = "localhost") -> bytes:
    """The first flight of a TLS client."""
    outgoing = ssl.MemoryBIO()
    tls = (context or client_context()).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def server_context(
    chain: pki.Chain, *, alpn: tuple[str, ...] = (), version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    return _tuned(pki.Presentation(chain).context(), alpn, version)


def _tuned(
    context: ssl.SSLContext, alpn: tuple[str, ...], version: ssl.TLSVersion | None
) -> ssl.SSLContext:
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
