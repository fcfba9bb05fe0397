"""One intercepted connection, from the first byte of the client to the end of both sockets."""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from mitm import events, pki
from mitm.address import Address, is_ip
from mitm.events import Direction, Event, Party
from mitm.proxy.peer import READ_SIZE, Peer
from mitm.proxy.watcher import PREFACE, Watcher
from mitm.tls import Hello, MalformedHelloError, TlsError, TlsLeg, read_client_hello
from mitm.wire import Schema

# Seconds. nginx gives a client 60 s for its header and 60 s for its TLS handshake, Envoy 15 s for
# transport sockets. On one machine a peer that needs longer than this has stopped.
HELLO_LIMIT = 10.0
DIAL_LIMIT = 5.0
HANDSHAKE_LIMIT = 10.0


class Task(NamedTuple):
    """What every connection of an interceptor has in common; see `Interceptor`."""

    upstream: Address
    choose: Callable[[Hello], pki.Chain]
    schema: Schema
    on_event: Callable[[Event], None]


class _EndError(Exception):
    """The connection is over before anything could be relayed."""

    def __init__(
        self,
        by: Party,
        how: Literal["alert", "close-notify", "eof", "reset", "time-limit", "not-tls", "error"],
        reason: str = "",
    ) -> None:
        self.by = by
        self.how = how
        self.reason = reason


class Connection:
    """Reads the ClientHello, dials the server, presents a certificate, relays and watches."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: Task,
    ) -> None:
        self._number = number
        self._reader = reader
        self._writer = writer
        self._task = task
        self._phase: Literal["hello", "handshake", "established"] = "hello"
        self._watcher: Watcher | None = None
        self._first_end: _EndError | None = None
        self._server: Peer | None = None

    async def run(self) -> None:
        """See the connection through; whatever happens, it ends with a `Closed` event."""
        self._emit(
            events.Connected, client=str(Address(*self._writer.get_extra_info("peername")[:2]))
        )
        try:
            await self._intercept()
            end = self._first_end or _EndError("attacker", "error")
        except _EndError as error:
            end = error
        except asyncio.CancelledError:
            end = self._first_end or _EndError("attacker", "error", "the interceptor was stopped")
        finally:
            self._writer.close()
            if self._server:
                self._server.close()
        seen = self._watcher.seen if self._watcher else {"client": 0, "server": 0}
        self._emit(
            events.Closed,
            by=end.by,
            how=end.how,
            phase=self._phase,
            client_bytes=seen["client"],
            server_bytes=seen["server"],
            reason=end.reason,
        )

    async def _intercept(self) -> None:
        received, hello = await self._sniff()
        self._server = server = await self._dial(hello)
        client = Peer(self._reader, self._writer, received=received)
        if hello:
            client = await self._accept_tls(
                received, hello, server.tls.alpn if server.tls else None
            )
        self._phase = "established"
        self._watcher = Watcher(
            self._number,
            encrypted=hello is not None,
            alpn=client.tls.alpn if client.tls else None,
            schema=self._task.schema,
            on_event=self._task.on_event,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump("client", client, server))
            group.create_task(self._pump("server", server, client))

    async def _sniff(self) -> tuple[bytes, Hello | None]:
        """Read until it is clear what the client speaks: TLS, or HTTP/2 in plaintext (None)."""
        received = b""
        try:
            async with asyncio.timeout(HELLO_LIMIT):
                while True:
                    data = await self._reader.read(READ_SIZE)
                    if not data:
                        raise _EndError("client", "eof", _so_far(received))
                    received += data
                    if received.startswith(PREFACE):
                        self._emit(events.Plaintext)
                        return received, None
                    if PREFACE.startswith(received):
                        continue
                    if hello := read_client_hello(received):
                        self._emit(events.ClientHello, **msgspec.structs.asdict(hello))
                        return received, hello
        except TimeoutError:
            reason = f"no complete ClientHello within {HELLO_LIMIT:g} s; {_so_far(received)}"
            raise _EndError("attacker", "time-limit", reason) from None
        except MalformedHelloError as error:
            reason = f"neither TLS nor HTTP/2: {error}; {_so_far(received)}"
            raise _EndError("attacker", "not-tls", reason) from None
        except OSError:
            raise _EndError("client", "reset") from None

    async def _dial(self, hello: Hello | None) -> Peer:
        """Reach the server and speak to it as the client spoke: TLS for the same name, or none."""
        address = self._task.upstream
        try:
            async with asyncio.timeout(DIAL_LIMIT):
                reader, writer = await asyncio.open_connection(*address)
                server = Peer(reader, writer)
                self._server = server
                if hello:
                    name = hello.server_name or (None if is_ip(address.host) else address.host)
                    context = _upstream_context(hello.alpn)
                    server.tls = TlsLeg(context, server_side=False, server_name=name)
                    if not await server.handshake():
                        how = server.alert.name if server.alert else server.reason or server.end
                        raise self._unreachable(f"the TLS handshake failed: {how}")
        except TimeoutError:
            raise self._unreachable(f"no answer within {DIAL_LIMIT:g} s") from None
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from None
        self._emit(
            events.UpstreamConnected,
            address=str(address),
            local=str(Address(*writer.get_extra_info("sockname")[:2])),
            version=server.tls.version if server.tls else None,
            alpn=server.tls.alpn if server.tls else None,
        )
        return server

    def _unreachable(self, reason: str) -> _EndError:
        self._emit(events.UpstreamFailed, address=str(self._task.upstream), reason=reason)
        return _EndError("attacker", "error", f"the server was not reached: {reason}")

    async def _accept_tls(self, received: bytes, hello: Hello, alpn: str | None) -> Peer:
        """Complete the handshake with the client, over the certificate chosen for it."""
        chain = self._task.choose(hello)
        client = Peer(
            self._reader,
            self._writer,
            TlsLeg(_client_context(chain, alpn), server_side=True),
            received,
        )
        self._phase = "handshake"
        self._emit(
            events.CertificatePresented,
            certificate=chain.name,
            subjects=chain.subjects,
            issuer=chain.issuer,
            sha256=chain.sha256,
        )
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT):
                completed = await client.handshake()
        except TimeoutError:
            reason = f"the handshake was not completed within {HANDSHAKE_LIMIT:g} s"
            raise _EndError("attacker", "time-limit", reason) from None
        if not completed:
            raise self._end_of("client", client)
        assert client.tls is not None
        self._emit(
            events.HandshakeCompleted,
            version=client.tls.version,
            cipher=client.tls.cipher,
            alpn=client.tls.alpn,
        )
        return client

    async def _pump(self, direction: Direction, source: Peer, sink: Peer) -> None:
        """Relay one direction: write first, look after, then wait for room."""
        assert self._watcher is not None
        try:
            while data := await source.receive():
                sink.send(data)
                self._watcher.feed(direction, data)
                await sink.flush()
        except (OSError, TlsError):
            # The sink is gone; the pump that reads from it says how.
            source.abort()
            return
        end = self._end_of(direction, source)
        self._first_end = self._first_end or end
        if end.how == "reset":
            sink.abort()
        else:
            await sink.send_end()

    def _end_of(self, party: Literal["client", "server"], peer: Peer) -> _EndError:
        assert peer.end is not None
        if peer.alert:
            self._emit(events.Alert, by=party, name=peer.alert.name, number=peer.alert.number)
        return _EndError("attacker" if peer.end == "error" else party, peer.end, peer.reason)

    def _emit(self, event: type[Event], **fields: object) -> None:
        self._task.on_event(event(time=time.time(), connection=self._number, **fields))


def _so_far(received: bytes) -> str:
    return f"received {len(received)} bytes" + (f": {received[:16]!r}" if received else "")


@lru_cache(maxsize=64)
def _upstream_context(alpn: tuple[str, ...]) -> ssl.SSLContext:
    """TLS towards the server. It is not verified: an attacker has no reason to ask who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@lru_cache(maxsize=256)
def _client_context(chain: pki.Chain, alpn: str | None) -> ssl.SSLContext:
    """TLS towards the client, which is offered just the protocol that the server chose."""
    context = pki.ssl_context(chain)
    if alpn:
        context.set_alpn_protocols([alpn])
    return context
