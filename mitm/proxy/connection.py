"""One intercepted connection, from the first byte of the client to the end of both sockets."""

import asyncio
import contextlib
import logging
import socket
import time
from typing import Literal

import msgspec

from mitm import events, pki
from mitm.address import Address
from mitm.errors import explain
from mitm.events import Event
from mitm.proxy import greeting
from mitm.proxy.arrival import Arrival, Arrived
from mitm.proxy.ending import EndError
from mitm.proxy.established import Established
from mitm.proxy.interception import Interception
from mitm.proxy.peer import Peer
from mitm.proxy.relay import Relay
from mitm.proxy.rewriting import Rewriting
from mitm.proxy.treatment import Interruption, Treatment
from mitm.proxy.watcher import Watcher
from mitm.wire.http2 import PREFACE, PROTOCOLS

# Seconds that a peer has to take the last bytes sent to it, once the connection is over: nginx's
# lingering_timeout.
CLOSE_SECONDS = 5.0

_LOGGER = logging.getLogger("mitm")


class Connection:
    """Sees a client in, greets both peers, relays and watches, and tells how it ended.

    Args:
        number: from 1.
        client: the accepted socket, which from now on belongs to the connection.
        address: the client's.
        interception: see `Interceptor`.
    """

    def __init__(
        self, number: int, client: socket.socket, address: Address, interception: Interception
    ) -> None:
        self._number = number
        self._socket = client
        self._address = address
        self._interception = interception
        self._arrival = Arrival(client, address, interception, self._emit)
        self._phase: Literal["hello", "handshake", "established", "tunnelled"] = "hello"
        self._watcher: Watcher | None = None
        self._interruption: Interruption | None = None
        self._left_alone = ""  # why nothing is changed here that was to be
        self._established: Established | None = None
        self._arrived: Arrived | None = None

    async def run(self) -> None:
        """See the connection through; whatever happens, it ends with a `Closed` event."""
        self._emit(events.Connected, client=str(self._address))
        stopped = False
        try:
            await self._intercept()
            end = self._first_end or EndError("attacker", "error")
        except EndError as error:
            # A traceback holds the frames it went through, this one among them.
            end = error.with_traceback(None)
        except asyncio.CancelledError:
            stopped = True
            end = self._first_end or EndError("attacker", "error", "the interceptor was stopped")
        except pki.Unsupported as error:
            end = EndError("attacker", "error", str(error))
        except OSError as error:
            # Files or memory have run out: what is presented goes through a file.
            said = explain(error) if error.errno else f"unforeseen: {type(error).__name__}"
            end = EndError("attacker", "error", said)
        except Exception as error:
            # It must not be the end of the record as well, nor be quoted in it.
            _LOGGER.debug("connection %d", self._number, exc_info=True)
            end = EndError("attacker", "error", f"unforeseen: {type(error).__name__}")
        self._look_at_unheard()
        seen = self._watcher.seen if self._watcher else {"client": 0, "server": 0}
        if self._phase == "established" and not seen["server"]:
            self._tell_late_refusal()
        self._emit(
            events.Closed,
            by=end.by,
            how=end.how,
            phase=self._phase,
            client_bytes=seen["client"],
            server_bytes=seen["server"],
            reason=end.reason or self._hint(end),
        )
        await self._let_go(at_once=stopped)
        self._arrival.forget()
        # They know the connection, as it knows them. In such a circle, all that it has taken would
        # wait for the collector, which comes the more seldom the more there is.
        del self._arrival, self._established

    @property
    def _first_end(self) -> EndError | None:
        return self._established.first_end if self._established else None

    def _tell_late_refusal(self) -> None:
        """Tell that a server has refused a client certificate that speaks when it is spoken to."""
        arrived = self._arrived
        if arrived and greeting.has_refused_late(arrived.server):
            greeting.tell_refusal(arrived, self._interception, self._emit)

    def _hint(self, end: EndError) -> str:
        """What to do about an end that may have its reason in how the server is spoken to."""
        if not self._arrived or self._phase != "established":
            return ""
        return greeting.refused_plaintext(self._arrived, self._interception, end)

    async def _let_go(self, *, at_once: bool) -> None:
        """Close both sockets; a peer that does not take what is left for it is cut off."""
        peers = self._arrival.peers
        for peer in peers:
            peer.close()
        if not peers:
            self._socket.close()
            return
        ends = [peer.closed for peer in peers]
        if not at_once:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(ends, timeout=CLOSE_SECONDS)
        for peer in peers:
            peer.abort()
        await asyncio.wait(ends)

    async def _intercept(self) -> None:
        arrived = self._arrived = await self._arrival.come()
        if not arrived.under_test:
            self._phase = "tunnelled"
            await self._relay(Relay(None), arrived)
            return
        arrived = await greeting.greet_server(arrived, self._interception, self._emit)
        if arrived.refused:
            arrived = await self._arrival.go_on_alone(arrived)
        self._arrived = arrived
        await self._greet_client(arrived)
        self._phase = "established"
        await self._relay(Relay(self._observing(arrived.client)), arrived)

    async def _greet_client(self, arrived: Arrived) -> None:
        if not arrived.hello:
            return
        if arrived.client.was_reset:
            # It has seen no certificate that it could have turned down.
            raise EndError("client", "reset")
        wanted = msgspec.structs.replace(arrived.hello, server_name=arrived.name)
        chosen = self._interception.choose(wanted)
        treatment = chosen if isinstance(chosen, Treatment) else Treatment(chosen)
        if treatment.handshake != "complete":
            await greeting.turn_away(arrived.client, treatment.handshake, self._emit)
        presented = treatment.presented
        assert presented is not None
        if presented.chain.tls.plaintext:
            await greeting.answer_in_plaintext(arrived.client, presented.chain, self._emit)
        else:
            alpn = greeting.protocol(arrived)
            asking = self._asks_client(arrived)
            contexts = self._interception.contexts
            tls = contexts.client_leg(arrived.hello, presented, alpn, asking=asking)
            await greeting.present(arrived.client, presented, tls, self._emit)
        if treatment.then:
            leg = arrived.client.tls
            http2 = leg is None or leg.alpn in PROTOCOLS
            self._interruption = Interruption(treatment.then, http2=http2)

    def _asks_client(self, arrived: Arrived) -> bool:
        """Whether the client is asked for a certificate: as the server does, if nothing is said."""
        told = self._interception.ask_client
        return arrived.asks if told is None else told

    def _observing(self, client: Peer) -> Watcher | Rewriting:
        """What looks at the connection, or changes it where that was asked for and can be."""
        self._watcher = self._a_watcher(client)
        if not self._interception.rules:
            return self._watcher
        # RFC 9113 sections 3.2 and 3.3: agreed on by ALPN, or known beforehand where there is no
        # TLS. What else a client speaks shows too late to begin in its place.
        alpn = client.tls.alpn if client.tls else None
        if client.tls and alpn not in PROTOCOLS:
            self._left_alone = f"ALPN is {alpn or 'not used'}, not h2"
            return self._watcher
        if not client.tls and not client.unread.startswith(PREFACE):
            self._left_alone = "not HTTP/2"
            return self._watcher
        rewriting = Rewriting(
            self._number,
            encrypted=client.tls is not None,
            schema=self._interception.schema,
            rules=self._interception.rules,
            on_event=self._interception.on_event,
            wanted=self._interception.wanted,
        )
        self._watcher = rewriting.watcher
        return rewriting

    def _a_watcher(self, client: Peer) -> Watcher:
        return Watcher(
            self._number,
            encrypted=client.tls is not None,
            alpn=client.tls.alpn if client.tls else None,
            schema=self._interception.schema,
            on_event=self._interception.on_event,
            wanted=self._interception.wanted,
        )

    def _look_at_unheard(self) -> None:
        """Look at what a client has said in plaintext and nobody took: it is evidence."""
        if self._watcher is None and (said := self._arrival.unheard):
            self._watcher = self._a_watcher(self._arrival.peers[0])
            self._watcher.feed("client", said)

    async def _relay(self, relay: Relay, arrived: Arrived) -> None:
        self._established = Established(
            relay,
            arrived.client,
            arrived.server,
            self._emit,
            self._interruption,
            self._left_alone,
        )
        await self._established.run()

    def _emit(self, event: type[Event], **fields: object) -> None:
        # How far the client's side has come is what has been told of it.
        if event is events.CertificatePresented:
            self._phase = "handshake"
        self._interception.on_event(event(time=time.time(), connection=self._number, **fields))
