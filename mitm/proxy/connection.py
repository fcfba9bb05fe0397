"""One intercepted connection, from the first byte of the client to the end of both sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal, NamedTuple

import msgspec

from mitm import events, pki
from mitm.address import Address, guard, is_ip, normal
from mitm.errors import UserError, explain
from mitm.events import Direction, Event, Party
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy import connect, transparent
from mitm.proxy.contexts import Contexts, preferred_alpn
from mitm.proxy.http2_endpoint import BrokenError
from mitm.proxy.peer import READ_SIZE, Peer
from mitm.proxy.rewriting import Rewriting
from mitm.proxy.tap import Tap, conceal, dial, reveal, take_over
from mitm.proxy.watcher import Watcher
from mitm.tls import (
    Hello,
    MalformedHelloError,
    plaintext_alert,
    read_client_hello,
    tls_record,
)
from mitm.wire.http2 import PREFACE

# Seconds. nginx gives a client 60 s for its header and 60 s for its TLS handshake, Envoy 15 s for
# transport sockets. On one machine a peer that needs longer than this has stopped.
HELLO_SECONDS = 10.0
DIAL_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0

# Seconds that a peer has to take the last bytes sent to it, once the connection is over: nginx's
# lingering_timeout.
CLOSE_SECONDS = 5.0

# What an HTTP/2 server says first (RFC 9113 section 3.4): a frame without settings.
EMPTY_SETTINGS = bytes.fromhex("000000040000000000")


Mode = Literal["reverse", "connect", "transparent"]


class Task(NamedTuple):
    """What every connection of an interceptor has in common; see `Interceptor`."""

    upstream: Address | None
    upstream_tls: bool
    choose: Callable[[Hello], pki.Presentation]
    contexts: Contexts
    schema: Schema
    on_event: Callable[[Event], None]
    tap: Tap | None
    mode: Mode = "reverse"
    intercept: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    rules: Rules | None = None
    stand_in: bool = False


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
    """Reads the ClientHello, dials the server, presents a certificate, relays and watches.

    Args:
        number: from 1.
        client: the accepted socket, which from now on belongs to the connection.
        address: the client's.
        task: see `Interceptor`.
    """

    def __init__(self, number: int, client: socket.socket, address: Address, task: Task) -> None:
        self._number = number
        self._socket = client
        self._address = address
        self._task = task
        self._phase: Literal["hello", "handshake", "established", "tunnelled"] = "hello"
        self._opening = b""  # what the client has sent before it is clear how to go on
        self._local: Address | None = None
        self._watcher: Watcher | None = None
        self._rewriting: Rewriting | None = None
        self._left_alone = ""  # why nothing is changed here that was to be
        self._gone: set[Direction] = set()  # whoever has ended its direction
        self._progress = asyncio.Event()
        self._first_end: _EndError | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def run(self) -> None:
        """See the connection through; whatever happens, it ends with a `Closed` event."""
        self._emit(events.Connected, client=str(self._address))
        stopped = False
        try:
            await self._intercept()
            end = self._first_end or _EndError("attacker", "error")
        except _EndError as error:
            end = error
        except asyncio.CancelledError:
            stopped = True
            end = self._first_end or _EndError("attacker", "error", "the interceptor was stopped")
        except Exception as error:
            # A chain that OpenSSL refuses to present, for example. It must not be the end of the
            # record as well.
            end = _EndError("attacker", "error", f"{type(error).__name__}: {error}")
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
        await self._let_go(at_once=stopped)

    async def _let_go(self, *, at_once: bool) -> None:
        """Close both sockets; a peer that does not take what is left for it is cut off."""
        for writer in self._writers:
            writer.close()
        ends = [asyncio.create_task(writer.wait_closed()) for writer in self._writers]
        if ends and not at_once:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(ends, timeout=CLOSE_SECONDS)
        for writer in self._writers:
            writer.transport.abort()
        # How the sockets ended has been told already.
        await asyncio.gather(*ends, return_exceptions=True)
        if not self._writers:
            self._socket.close()

    async def _intercept(self) -> None:
        reader, writer = await take_over(
            self._socket, self._address, self._task.tap, hidden=self._task.mode != "reverse"
        )
        self._writers.append(writer)
        if self._task.upstream and self._task.mode == "reverse":
            address = self._task.upstream
            hello = await self._sniff(reader)
            name = hello.server_name if hello else None
            self._tell(hello)
            server = await self._dial(address)
        else:
            destination, address, server = await self._approach(reader, writer)
            if self._is_under_test(destination.host):
                hello = await self._sniff(reader)
            else:
                hello = await self._sniff_unless_answered(reader, server)
            # RFC 6066 section 3: SNI is a name, and no address.
            sni = hello.server_name if hello else None
            name = destination.host if not sni or is_ip(sni) else sni
            if not self._is_under_test(name):
                self._phase = "tunnelled"
                self._emit(events.Tunnelled, address=str(address), name=name)
                for each in self._writers:
                    conceal(each)
                await self._relay(Peer(reader, writer, self._opening), server)
                return
            for each in self._writers:
                reveal(each)
            self._tell(hello)
        await self._greet(server, address, hello)
        client = Peer(reader, writer, self._opening)
        if hello:
            presented = self._task.choose(msgspec.structs.replace(hello, server_name=name))
            if presented.chain.tls.plaintext:
                self._opening = await self._answer_in_plaintext(reader, writer, presented.chain)
                client = Peer(reader, writer, self._opening)
            else:
                alpn = server.tls.alpn if server.tls else preferred_alpn(hello)
                await self._accept_tls(client, presented, alpn)
        self._phase = "established"
        self._watcher = Watcher(
            self._number,
            encrypted=client.tls is not None,
            alpn=client.tls.alpn if client.tls else None,
            schema=self._task.schema,
            on_event=self._task.on_event,
        )
        if self._task.rules:
            self._begin_to_rewrite(self._task.rules, client, server)
        await self._relay(client, server)

    def _begin_to_rewrite(self, rules: Rules, client: Peer, server: Peer) -> None:
        """Become an HTTP/2 endpoint towards both peers, if HTTP/2 is what they speak."""
        # RFC 9113 sections 3.2 and 3.3: agreed on by ALPN, or known beforehand where there is no
        # TLS. What else a client speaks shows too late to begin in its place.
        alpn = client.tls.alpn if client.tls else None
        if alpn != "h2" and (client.tls or not self._opening.startswith(PREFACE)):
            reason = f"ALPN is {alpn or 'not used'}, not h2" if client.tls else "not HTTP/2"
            self._left_alone = reason
            return
        self._rewriting = Rewriting(
            self._number,
            encrypted=client.tls is not None,
            schema=self._task.schema,
            rules=rules,
            on_event=self._task.on_event,
        )
        self._watcher = self._rewriting.watcher
        self._rewriting.start()
        self._send_rewritten(self._rewriting, {"client": client, "server": server})

    async def _relay(self, client: Peer, server: Peer) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump("client", client, server))
                group.create_task(self._pump("server", server, client))
        except ExceptionGroup as errors:
            raise self._first_end or errors.exceptions[0] from None

    async def _approach(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Address, Address, Peer]:
        """Learn where the client wants to go, and dial it.

        Returns:
            Where the client wants to go, what was dialled for that, and who answered.
        """
        by_http = self._task.mode == "connect"
        try:
            if by_http:
                destination = await self._read_request(reader)
            else:
                destination = transparent.original_destination(self._socket)
            self._emit(events.Destination, address=str(destination))
            address = self._way_to(destination)
            server = await self._dial(address)
        except transparent.NotRedirectedError as error:
            raise _EndError("attacker", "error", str(error)) from None
        except UserError as error:
            if by_http:
                await self._refuse(reader, writer, HTTPStatus.FORBIDDEN, str(error))
            raise _EndError("attacker", "error", str(error)) from None
        except _EndError as end:
            if by_http and end.by == "attacker":
                await self._refuse(reader, writer, HTTPStatus.BAD_GATEWAY, end.reason)
            raise
        except connect.RefusedError as error:
            await self._refuse(reader, writer, error.status, str(error))
            late = error.status == HTTPStatus.REQUEST_TIMEOUT
            how: Literal["time-limit", "error"] = "time-limit" if late else "error"
            raise _EndError("attacker", how, f"{error.status.value}: {error}") from None
        except OSError:
            raise _EndError("client", "reset") from None
        if by_http:
            writer.write(connect.ESTABLISHED)
        return destination, address, server

    async def _read_request(self, reader: asyncio.StreamReader) -> Address:
        """Read a CONNECT request; what follows it begins the client's own connection."""
        received = b""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while not (request := connect.read_request(received)):
                    data = await reader.read(READ_SIZE)
                    if not data:
                        raise _EndError("client", "eof", _so_far(received))
                    received += data
        except TimeoutError:
            reason = f"no complete request within {HELLO_SECONDS:g} s; {_so_far(received)}"
            raise connect.RefusedError(HTTPStatus.REQUEST_TIMEOUT, reason) from None
        destination, self._opening = request
        return destination

    async def _refuse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        status: HTTPStatus,
        reason: str,
    ) -> None:
        """Answer a client that does not get its tunnel, and let it read the answer.

        A socket that is closed over unread bytes is reset, and the answer is lost with it
        (RFC 9112 section 9.6): what the client still sends is read first.
        """
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(connect.refusal(connect.RefusedError(status, reason)))
            writer.write_eof()
            async with asyncio.timeout(CLOSE_SECONDS):
                while await reader.read(READ_SIZE):
                    pass

    def _way_to(self, destination: Address) -> Address:
        """What to dial for a destination.

        Raises:
            UserError: it is not on this machine, and was not allowed.
        """
        if self._task.upstream and self._is_under_test(destination.host):
            return self._task.upstream
        return guard(destination, self._task.allowed)

    def _is_under_test(self, name: str) -> bool:
        return normal(name) in self._task.intercept

    async def _sniff(self, reader: asyncio.StreamReader) -> Hello | None:
        """Read until it is clear what the client speaks: TLS, or HTTP/2 in plaintext (None)."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while True:
                    if self._opening.startswith(PREFACE):
                        return None
                    begun = not PREFACE.startswith(self._opening)
                    if begun and (hello := read_client_hello(self._opening)):
                        return hello
                    data = await reader.read(READ_SIZE)
                    if not data:
                        raise _EndError("client", "eof", _so_far(self._opening))
                    self._opening += data
        except TimeoutError:
            reason = f"no complete ClientHello within {HELLO_SECONDS:g} s; {_so_far(self._opening)}"
            raise _EndError("attacker", "time-limit", reason) from None
        except MalformedHelloError as error:
            reason = f"neither TLS nor HTTP/2: {error}; {_so_far(self._opening)}"
            raise _EndError("attacker", "not-tls", reason) from None
        except OSError:
            raise _EndError("client", "reset") from None

    async def _sniff_unless_answered(
        self, reader: asyncio.StreamReader, server: Peer
    ) -> Hello | None:
        """Look for a ClientHello without insisting on one, or on anything; None if there is none.

        With TLS it is the client that speaks first. Where the server does, it is another protocol.
        """
        sniffing = asyncio.create_task(self._sniff(reader))
        listening = asyncio.create_task(server.listen())
        try:
            await asyncio.wait({sniffing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sniffing.cancel()
            listening.cancel()
            results = await asyncio.gather(sniffing, listening, return_exceptions=True)
        return results[0] if isinstance(results[0], Hello) else None

    def _tell(self, hello: Hello | None) -> None:
        if hello:
            self._emit(events.ClientHello, **msgspec.structs.asdict(hello))
        else:
            self._emit(events.Plaintext)

    async def _dial(self, address: Address) -> Peer:
        """Reach the server."""
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                reader, writer = await dial(
                    address, self._task.tap, hidden=self._task.mode != "reverse"
                )
        except TimeoutError:
            raise self._unreachable(address, f"no answer within {DIAL_SECONDS:g} s") from None
        except (OSError, UnicodeError) as error:
            raise self._unreachable(address, explain(error)) from None
        self._writers.append(writer)
        self._local = Address(*writer.get_extra_info("sockname")[:2])
        return Peer(reader, writer)

    async def _greet(self, server: Peer, address: Address, hello: Hello | None) -> None:
        """Speak to the server as the client spoke: TLS for the same name, or none."""
        if hello and self._task.upstream_tls:
            leg = self._task.contexts.upstream_leg(hello, address.host)
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    completed = await server.handshake(leg)
            except TimeoutError:
                reason = f"no answer within {DIAL_SECONDS:g} s"
                raise self._unreachable(address, reason) from None
            if not completed:
                reason = f"the TLS handshake failed: {_why(server)}"
                raise self._unreachable(address, reason)
        self._emit(
            events.UpstreamConnected,
            address=str(address),
            local=str(self._local),
            version=server.tls.version if server.tls else None,
            alpn=server.tls.alpn if server.tls else None,
            stand_in=self._task.stand_in and address == self._task.upstream,
        )

    def _unreachable(self, address: Address, reason: str) -> _EndError:
        self._emit(events.UpstreamFailed, address=str(address), reason=reason)
        return _EndError("attacker", "error", f"the server was not reached: {reason}")

    async def _accept_tls(
        self, client: Peer, presented: pki.Presentation, alpn: str | None
    ) -> None:
        """Complete the handshake with the client, over the certificate chosen for it."""
        tls, chain = self._task.contexts.client_leg(presented, alpn), presented.chain
        self._phase = "handshake"
        self._emit(
            events.CertificatePresented,
            certificate=chain.name,
            subjects=chain.subjects,
            issuer=chain.issuer,
            sha256=chain.sha256,
            key=presented.key_kind,
        )
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                completed = await client.handshake(tls)
        except TimeoutError:
            reason = f"the handshake was not completed within {HANDSHAKE_SECONDS:g} s"
            raise _EndError("attacker", "time-limit", reason) from None
        if not completed:
            raise self._end_of("client", client)
        self._emit(events.HandshakeCompleted, version=tls.version, cipher=tls.cipher, alpn=tls.alpn)

    async def _answer_in_plaintext(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chain: pki.Chain
    ) -> bytes:
        """Answer a ClientHello as an HTTP/2 server without TLS would.

        Returns:
            What the client sends now, if it goes on in plaintext.
        """
        self._phase = "handshake"
        self._emit(
            events.CertificatePresented,
            certificate=chain.name,
            subjects=(),
            issuer="",
            sha256="",
        )
        received = b""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                writer.write(EMPTY_SETTINGS)
                # A client that is still in its handshake sends an alert, in the clear for want of
                # keys. That is a refusal, and no application data.
                while not received or tls_record(received):
                    if alert := plaintext_alert(received):
                        self._emit(events.Alert, by="client", name=alert[0], number=alert[1])
                        raise _EndError("client", "alert")
                    if len(received) > READ_SIZE:
                        raise _EndError("attacker", "error", "TLS records without end")
                    data = await reader.read(READ_SIZE)
                    if not data:
                        raise _EndError("client", "eof")
                    received += data
        except TimeoutError:
            reason = f"the client has not reacted to plaintext within {HANDSHAKE_SECONDS:g} s"
            raise _EndError("attacker", "time-limit", reason) from None
        except OSError:
            raise _EndError("client", "reset") from None
        return received

    async def _pump(self, direction: Direction, source: Peer, sink: Peer) -> None:
        """Relay one direction: write first, look after, then wait for room."""
        other: Direction = "server" if direction == "client" else "client"
        while data := await source.receive():
            if self._rewriting:
                self._rewrite(self._rewriting, direction, data, {direction: source, other: sink})
                # The source is answered as well; how it ended, its own pump says.
                with contextlib.suppress(OSError):
                    await source.flush()
            else:
                sink.send(data)
                # Also what can no longer be relayed was sent by its sender, and read here.
                if self._watcher:
                    self._watcher.feed(direction, data)
                if self._left_alone:
                    reason, self._left_alone = self._left_alone, ""
                    self._emit(events.NotRewritten, direction=direction, stream=0, reason=reason)
            try:
                await sink.flush()
            except OSError:
                # The pump that reads from the sink says how it went.
                source.reset()
                break
        self._gone.add(direction)
        self._progress.set()
        if source.end is None:
            return
        end = self._end_of(direction, source)
        self._first_end = self._first_end or end
        if end.how == "reset":
            sink.reset()
        elif end.how in ("eof", "close-notify"):
            await self._until_taken(other)
            # In plaintext a FIN is all there is to say so.
            sink.send_end(notify=end.how == "close-notify" or source.tls is None)
        else:
            # TLS has failed, and with it both directions (RFC 8446 section 6.2).
            raise end

    def _rewrite(
        self, rewriting: Rewriting, direction: Direction, data: bytes, peers: dict[Direction, Peer]
    ) -> None:
        broken: BrokenError | None = None
        try:
            rewriting.receive(direction, data)
        except BrokenError as error:
            broken = error
        self._send_rewritten(rewriting, peers)
        self._progress.set()
        if broken:
            reason = f"the {direction}'s HTTP/2 cannot be changed: {broken}"
            self._first_end = self._first_end or _EndError("attacker", "error", reason)
            raise self._first_end

    def _send_rewritten(self, rewriting: Rewriting, peers: dict[Direction, Peer]) -> None:
        """Write first, look after."""
        for party, due in rewriting.to_send().items():
            if due:
                peers[party].send(due)
        rewriting.tell()

    async def _until_taken(self, party: Direction) -> None:
        """Wait until a peer has taken what waits for its windows, or never will."""
        while self._rewriting and self._rewriting.waits_for(party) and party not in self._gone:
            self._progress.clear()
            await self._progress.wait()

    def _end_of(self, party: Literal["client", "server"], peer: Peer) -> _EndError:
        assert peer.end is not None
        if peer.alert:
            self._emit(events.Alert, by=party, name=peer.alert.name, number=peer.alert.number)
        return _EndError("attacker" if peer.end == "error" else party, peer.end, peer.reason)

    def _emit(self, event: type[Event], **fields: object) -> None:
        self._task.on_event(event(time=time.time(), connection=self._number, **fields))


def _why(server: Peer) -> str:
    if server.alert:
        return f"it sent the alert {server.alert.name} ({server.alert.number})"
    if server.end == "error":
        return server.reason
    return "it closed the connection" + (" with a reset" if server.end == "reset" else "")


def _so_far(received: bytes) -> str:
    return f"received {len(received)} bytes" + (f": {received[:16]!r}" if received else "")
