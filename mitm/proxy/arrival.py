"""How a client comes, and where it wants to go: its first words, and the server that is dialled.

It may have dialled the interceptor as if it were the server (`reverse`), ask it for a tunnel
(`connect`), or have been redirected by the kernel (`transparent`). What it says first tells what it
speaks, and whether it goes to a host that is under test.
"""

import asyncio
import contextlib
import socket
from http import HTTPStatus
from typing import Literal, NamedTuple

import msgspec

from mitm import events
from mitm.address import Address, guard, is_host_name, is_ip, is_loopback, normal
from mitm.errors import UserError, explain
from mitm.proxy import connect, transparent
from mitm.proxy.ending import Emit, EndError, so_far, unreachable
from mitm.proxy.interception import Interception
from mitm.proxy.peer import Peer
from mitm.proxy.stream import Stream
from mitm.proxy.tap import dial, take_over
from mitm.proxy.whereabouts import found_at, is_here, is_listened_on
from mitm.tls import Hello, HelloReader, MalformedError, tls_record
from mitm.wire import http1
from mitm.wire.http2 import PREFACE

# Seconds. nginx gives a client 60 s for its header, Envoy 15 s for transport sockets. On one
# machine a peer that needs longer than this has stopped.
HELLO_SECONDS = 10.0
DIAL_SECONDS = 10.0

# Seconds that a client has to take a refusal and leave: nginx's lingering_timeout.
REFUSAL_SECONDS = 5.0


# Rounds of the event loop after which a connection that has come about is noted as dialled: asyncio
# and uvloop take four or five.
ROUNDS = 20

# Seconds for which a connection to a server is known after its end. The same two addresses do not
# come again for a minute (TIME_WAIT, RFC 9293 section 3.6.1).
REMEMBERED_SECONDS = 10.0


class Arrived(NamedTuple):
    """A client that has said what it speaks, and the server that was dialled for it.

    Attributes:
        address: what was dialled.
        local: where from.
        hello: the ClientHello; None for plaintext. It is still unread.
        name: of the host that the client wants; None if that is known of nothing.
        under_test: False for a connection that is to be passed on unread.
        asks: whether the server asks for a client certificate.
        refused: whether it has refused what it was given.
        stand_in: whether the server is a stand-in for one that has.
    """

    client: Peer
    server: Peer
    address: Address
    local: Address
    hello: Hello | None
    name: str | None
    under_test: bool = True
    asks: bool = False
    refused: bool = False
    stand_in: bool = False


class UnknownProtocolError(EndError):
    """The client speaks neither TLS nor HTTP; what it says is application data in plaintext."""

    def __init__(self, received: bytes | bytearray) -> None:
        super().__init__("attacker", "not-tls", f"neither TLS nor HTTP; {so_far(received)}")


class Arrival:
    """Sees one client in.

    Args:
        accepted: the client's socket, which from now on belongs to the arrival.
        address: the client's.
        interception: see `Interceptor`.
        emit: is told what happens.

    Attributes:
        peers: the client, and the server once it was dialled; to be closed in the end.
    """

    def __init__(
        self, accepted: socket.socket, address: Address, interception: Interception, emit: Emit
    ) -> None:
        self._accepted = accepted
        self._address = address
        self._interception = interception
        self._emit = emit
        self._hidden = interception.mode != "reverse"
        self._going_to: Address | None = None
        self._dialled: list[tuple[Address, Address]] = []
        self._asked = b""  # in plaintext, of the proxy, for a host under test
        self._heard: Peer | None = None  # the client, once what it says is of a host under test
        self.peers: list[Peer] = []

    async def come(self) -> Arrived:
        """Learn what the client wants, and dial.

        Raises:
            EndError: there is nothing to go on with.
        """
        try:
            stream = await take_over(
                self._accepted, self._address, self._interception.tap, hidden=self._hidden
            )
        except OSError:
            raise EndError("client", "reset") from None
        client = Peer(stream)
        self.peers.append(client)
        with contextlib.suppress(OSError):
            self._going_to = _comparable(Address(*self._accepted.getsockname()[:2]))
        if self._interception.upstream and self._interception.mode == "reverse":
            return await self._come_in_reverse(client, self._interception.upstream)
        return await self._come_by_way(client)

    async def go_on_alone(self, arrived: Arrived) -> Arrived:
        """Have a stand-in answer in the place of a server that does not let this side in.

        Raises:
            EndError: it is not reached.
        """
        assert self._interception.stand_in_address
        arrived.server.close()
        address = await self._interception.stand_in_address()
        server, local = await self._dial_upstream(arrived.client, address)
        server.show()
        self._emit(events.UpstreamConnected, address=str(address), local=str(local), stand_in=True)
        return arrived._replace(server=server, address=address, local=local, stand_in=True)

    @property
    def unheard(self) -> bytes:
        """What the client has said in plaintext, if it is data and nobody has looked at it."""
        said = self._asked or (bytes(self._heard.unread) if self._heard else b"")
        return said if _is_data(said) or said.startswith(PREFACE) else b""

    async def _come_in_reverse(self, client: Peer, address: Address) -> Arrived:
        self._heard = client
        hello = await self._sniff(client)
        self._tell(client, hello)
        server, local = await self._dial_upstream(client, address)
        name = hello.server_name if hello else None
        if name and not is_ip(name) and not is_host_name(name):
            name = None
        return Arrived(client, server, address, local, hello, name)

    async def _come_by_way(self, client: Peer) -> Arrived:
        destination, address, server, local = await self._approach(client)
        if self._is_under_test(destination.host):
            self._heard = client
            try:
                hello = await self._sniff(client)
            except UnknownProtocolError:
                self._show()
                raise
        else:
            hello = await self._sniff_unless_answered(client, server)
        sni = (hello.server_name if hello else None) or ""
        by_address, by_name = map(self._is_under_test, (destination.host, sni))
        # RFC 6066 section 3: SNI is a name, and no address. A client that sends one all the same
        # expects what it was going to, unless that one alone is under test.
        says_whom = is_host_name(sni) or (by_name and not by_address)
        name = sni if says_whom else destination.host
        under_test = by_address or by_name
        if under_test:
            upstream = self._interception.upstream
            if upstream and not by_address:
                # Only the ClientHello has told that this is a host that is dialled elsewhere.
                server.hide()
                server.abort()
                address = upstream
                server, local = await self._dial_upstream(client, address)
            self._show()
            self._tell(client, hello)
        else:
            for peer in self.peers:
                peer.hide()
            self._emit(events.Tunnelled, address=str(address), name=name)
        return Arrived(client, server, address, local, hello, name, under_test)

    def _show(self) -> None:
        for peer in self.peers:
            peer.show()

    def _tell(self, client: Peer, hello: Hello | None) -> None:
        if hello:
            self._emit(events.ClientHello, **msgspec.structs.asdict(hello))
            return
        http2 = client.unread.startswith(PREFACE)
        self._emit(events.Plaintext, protocol="HTTP/2" if http2 else "HTTP/1.1")

    # Where to

    async def _approach(self, client: Peer) -> tuple[Address, Address, Peer, Address]:
        """Learn where the client wants to go, and dial it.

        Returns:
            Where the client wants to go, what was dialled for that, who answered, and the local
            address towards it.
        """
        by_http = self._interception.mode == "connect"
        try:
            if by_http:
                destination = await self._read_request(client)
            else:
                destination = transparent.original_destination(self._accepted)
                self._going_to = _comparable(destination)
                if is_here(self._address.host):
                    # Whoever has dialled may be this loop, which has yet to notice that it has.
                    for _ in range(ROUNDS):
                        await asyncio.sleep(0)
            self._emit(events.Destination, address=str(destination))
            upstream = self._interception.upstream
            if upstream and self._is_under_test(destination.host):
                address = upstream
                server, local = await self._dial(client, address, asked_for=False)
            else:
                address = guard(destination, self._interception.allowed)
                server, local = await self._dial(client, address, asked_for=True)
        except transparent.NotRedirectedError as error:
            raise EndError("attacker", "error", str(error)) from None
        except UserError as error:
            if by_http:
                await self._refuse(client, HTTPStatus.FORBIDDEN, str(error))
            raise EndError("attacker", "error", str(error)) from None
        except EndError as end:
            if by_http and end.by == "attacker":
                await self._refuse(client, HTTPStatus.BAD_GATEWAY, end.reason)
            raise
        except connect.RefusedError as error:
            if self._is_under_test(error.host):
                # It is data for that host all the same, and came in plaintext.
                self._asked = bytes(client.unread)
                self._show()
            await self._refuse(client, error.status, str(error))
            late = error.status == HTTPStatus.REQUEST_TIMEOUT
            how: Literal["time-limit", "error"] = "time-limit" if late else "error"
            raise EndError("attacker", how, f"{error.status.value}: {error}") from None
        except OSError:
            # The socket could not be asked where it was going.
            raise EndError("client", "reset") from None
        if by_http:
            client.send(connect.ESTABLISHED)
        return destination, address, server, local

    async def _read_request(self, client: Peer) -> Address:
        """Read a CONNECT request; what follows it begins the client's own connection."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                seen = 0
                while not (request := connect.read_request(client.unread, seen)):
                    seen = len(client.unread)
                    await self._hear(client)
        except TimeoutError:
            reason = f"no complete request within {HELLO_SECONDS:g} s; {so_far(client.unread)}"
            raise connect.RefusedError(HTTPStatus.REQUEST_TIMEOUT, reason) from None
        destination, rest = request
        client.unread = bytearray(rest)
        return destination

    async def _refuse(self, client: Peer, status: HTTPStatus, reason: str) -> None:
        """Answer a client that does not get its tunnel, and let it read the answer.

        A socket that is closed over unread bytes is reset, and the answer is lost with it
        (RFC 9112 section 9.6): what the client still sends is read first.
        """
        client.send(connect.refusal(connect.RefusedError(status, reason)))
        client.send_end(notify=False)
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                while await client.listen():
                    client.unread.clear()
        except TimeoutError:
            pass

    def _is_under_test(self, name: str) -> bool:
        return normal(name) in self._interception.intercept

    async def _dial_upstream(self, client: Peer, address: Address) -> tuple[Peer, Address]:
        """Reach the server that was named beforehand."""
        try:
            return await self._dial(client, address, asked_for=False)
        except UserError as error:
            raise unreachable(client, address, str(error), self._emit) from None

    async def _dial(
        self, client: Peer, address: Address, *, asked_for: bool
    ) -> tuple[Peer, Address]:
        """Reach the server.

        Args:
            client: who is waiting for it.
            address: whom to dial.
            asked_for: whether it is the client that has named it.

        Returns:
            The server, and the local address towards it.

        Raises:
            UserError: it is not to be dialled.
            EndError: it was not reached.
        """
        self._must_not_go_round()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                found = await found_at(address, self._interception.allowed)
                self._must_lead_elsewhere(address, found, asked_for=asked_for)
                stream, local, remote = await self._dial_first(found)
        except TimeoutError:
            reason = f"no answer within {DIAL_SECONDS:g} s"
            raise unreachable(client, address, reason, self._emit) from None
        except (OSError, UnicodeError) as error:
            raise unreachable(client, address, explain(error), self._emit) from None
        server = Peer(stream)
        self.peers.append(server)
        self._dialled.append((_comparable(local), _comparable(remote)))
        self._interception.dialled.update(self._dialled)
        self._must_not_go_round()
        return server, local

    async def _dial_first(self, found: list[Address]) -> tuple[Stream, Address, Address]:
        """Reach one of the addresses of a host, one after the other as RFC 6724 orders them."""
        tap, hidden = self._interception.tap, self._hidden
        for address in found[:-1]:
            with contextlib.suppress(OSError):
                return *await dial(address, tap, hidden=hidden), address
        return *await dial(found[-1], tap, hidden=hidden), found[-1]

    def _must_lead_elsewhere(
        self, address: Address, found: list[Address], *, asked_for: bool
    ) -> None:
        """See that a dial neither comes back here nor opens this machine to another.

        Raises:
            UserError: it would.
        """
        if any(is_listened_on(each, self._interception.listeners) for each in found):
            raise UserError(f"{address} is the interceptor itself: name the server behind it")
        if not asked_for or is_loopback(self._address.host):
            return
        if any(is_here(each.host) for each in found):
            raise UserError(
                f"{address} is on the interceptor's own machine, which a client on another reaches "
                "through it only where it is a host under test with --upstream"
            )

    def _must_not_go_round(self) -> None:
        """See that the client is not this interceptor itself, which the kernel has led back here.

        A connection is known by both its addresses. Where it was going is not changed for us by a
        redirection: it is asked for.

        Raises:
            EndError: it is.
        """
        if (_comparable(self._address), self._going_to) in self._interception.dialled:
            reason = "the interceptor has dialled itself: the way to the server leads back here"
            raise EndError("attacker", "error", reason)

    def forget(self) -> None:
        """Forget whom this has dialled, a while after those connections are over.

        What has come back here may only just have been accepted.
        """
        forget = self._interception.dialled.difference_update
        asyncio.get_running_loop().call_later(REMEMBERED_SECONDS, forget, self._dialled)

    # What the client speaks

    async def _hear(self, client: Peer) -> None:
        """Wait for more of what the client has to say."""
        if not await client.listen():
            how = client.end or "eof"
            raise EndError("client", how, so_far(client.unread) if how == "eof" else "")

    async def _sniff(self, client: Peer) -> Hello | None:
        """Hear until it is clear what the client speaks: TLS, or HTTP in plaintext (None).

        Raises:
            UnknownProtocolError: it is neither, not even the beginning of it, or a request of which
                no more comes than that.
            EndError: the client has left, or what began as TLS is none.
        """
        reader = HelloReader()
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while True:
                    said = bytes(client.unread[: len(PREFACE)])
                    if said == PREFACE:
                        return None
                    if not PREFACE.startswith(said):
                        if not tls_record(said):
                            opens = http1.opens(client.unread)
                            if opens:
                                return None
                            if opens is False:
                                raise UnknownProtocolError(client.unread)
                        elif hello := reader.read(client.unread):
                            return hello
                    await self._hear(client)
        except (TimeoutError, EndError) as error:
            if _is_data(client.unread):
                # Of a request no more has come than this.
                raise UnknownProtocolError(client.unread) from None
            if isinstance(error, EndError):
                raise
            reason = f"no complete ClientHello within {HELLO_SECONDS:g} s; {so_far(client.unread)}"
            raise EndError("attacker", "time-limit", reason) from None
        except MalformedError as error:
            reason = f"neither TLS nor HTTP: {error}; {so_far(client.unread)}"
            raise EndError("attacker", "not-tls", reason) from None

    async def _sniff_unless_answered(self, client: Peer, server: Peer) -> Hello | None:
        """Look for a ClientHello without insisting on one, or on anything; None if there is none.

        With TLS it is the client that speaks first. Where the server does, it is another protocol.
        """
        sniffing = asyncio.create_task(self._sniff(client))
        listening = asyncio.create_task(server.listen())
        try:
            await asyncio.wait({sniffing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sniffing.cancel()
            listening.cancel()
            results = await asyncio.gather(sniffing, listening, return_exceptions=True)
        return results[0] if isinstance(results[0], Hello) else None


def _comparable(address: Address) -> Address:
    return Address(normal(address.host), address.port)


def _is_data(said: bytes | bytearray) -> bool:
    """Whether what a client says is application data: no TLS, and no beginning of HTTP/2."""
    return not PREFACE.startswith(bytes(said[: len(PREFACE)])) and not tls_record(said)
