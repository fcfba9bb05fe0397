"""The interceptor as a whole: it listens, and hands each client to a connection of its own."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm.address import LOCALHOST, Address, is_ip, normal
from mitm.errors import UserError, explain
from mitm.events import EVERYTHING, Event, Wanted
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.pki import Chain, Presentation, Unsupported
from mitm.proxy.connection import Connection
from mitm.proxy.contexts import Contexts
from mitm.proxy.interception import Interception, Mode
from mitm.proxy.memory import give_back
from mitm.proxy.observer import LOGGER, GuardedObserver, Losses
from mitm.proxy.stand_in import StandIn
from mitm.proxy.tap import GuardedTap, Tap
from mitm.proxy.transparent import take_foreign
from mitm.proxy.treatment import Treatment
from mitm.proxy.whereabouts import found_at, is_listened_on
from mitm.tls import Hello
from mitm.tls.client_certificate import SUPPORTED

# Clients that wait to be accepted, on each address. A client beyond that comes a second late, when
# its SYN is sent again (RFC 6298); nginx takes 511.
BACKLOG = 1024

# Connections open at once that are many: their end gives back some 50 MiB. What a few have taken is
# soon used again.
MANY = 500

# Seconds without accepting after file descriptors have run out, as in asyncio
# (ACCEPT_RETRY_SECONDS).
ACCEPT_RETRY_SECONDS = 1.0

UNAVAILABLE = 14  # gRPC's status codes

_ANY_PORT = Address("127.0.0.1", 0)
_NO_SCHEMA = Schema(FileDescriptorSet())


class Interceptor:
    """A TLS-terminating proxy for one server, for `async with`.

    It presents a certificate of its own to the client, dials the server in the client's place, and
    relays every byte untouched; what it decrypts on the way goes to `on_event`.

        from mitm import Interceptor, pki
        from mitm.address import Address

        authorities = pki.Authorities(["localhost"])
        forged = pki.present(pki.load_recipe("attacker-ca"), "localhost", authorities)

        async with Interceptor(
            upstream=Address("localhost", 50051), choose=lambda hello: forged, on_event=print
        ) as interceptor:
            ...  # a client that connects to interceptor.address

    Args:
        upstream: the server. In the modes `connect` and `transparent` it is dialled in the place of
            the hosts under test; None for whatever host the client wants to reach.
        choose: picks what to present, once the ClientHello has been read; or what else is to be
            done with the connection.
        listen: where clients are expected; port 0 lets the kernel choose.
        schema: descriptors that messages are shown through; without, they are guessed.
        on_event: called with each event as it happens; it must not block for long. What it raises
            is counted in `observer_errors` and ends nothing.
        wanted: which events that is to be; others are not made, which saves most of the time.
        upstream_tls: whether TLS is spoken to the server, whatever the client speaks; None for as
            the client does.
        tap: is shown the bytes of all sockets and the secrets of the TLS on them, to record them.
            What it raises is counted as well.
        mode: how clients come here. `reverse`: they dial it as if it were the server. `connect`:
            they ask it for a tunnel, as an HTTP proxy. `transparent`: the kernel redirects them.
        intercept: hosts under test, by name or address, for the last two modes; connections to any
            other host are passed on unread. It is enough that the destination or SNI is one of
            them. `choose` finds in the hello what the client calls it: SNI, or else the
            destination.
        allow_hosts: hosts that may be dialled in these modes although they are not this machine.
        rules: what is to be changed of what passes. With rules, and only then, the interceptor is
            an HTTP/2 endpoint towards both peers.
        impersonate: answer in the place of the server, which is not dialled and need not be there:
            with an empty message, changed by the rules.
        client_certificate: what a server is given that asks for a client certificate: with its key,
            what a thief has. Used towards the server alone.
        ask_client: whether clients are asked for a certificate, of which whatever they present is
            told. They go on without one. None for where the server asks.
        goes_on_alone: what becomes of a client whose server asks for a client certificate, and
            refuses what it is given, or that there is none. A stand-in answers its calls with
            UNAVAILABLE, so that they are read and not relayed; or else the server counts as not
            reached, and the client is turned away.
        on_loss: is given a line when `on_event` has raised for the first time, or the tap, or when
            file descriptors have run out; the default is a warning of the logger `mitm`.
    """

    def __init__(
        self,
        *,
        upstream: Address | None,
        choose: Callable[[Hello], Presentation | Treatment],
        listen: Address = _ANY_PORT,
        schema: Schema = _NO_SCHEMA,
        on_event: Callable[[Event], None] = lambda event: None,
        wanted: Wanted = EVERYTHING,
        upstream_tls: bool | None = None,
        tap: Tap | None = None,
        mode: Mode = "reverse",
        intercept: Collection[str] = (),
        allow_hosts: Collection[str] = (),
        rules: Rules | None = None,
        impersonate: bool = False,
        client_certificate: Chain | None = None,
        ask_client: bool | None = None,
        goes_on_alone: bool = True,
        on_loss: Callable[[str], None] = LOGGER.warning,
    ) -> None:
        if mode == "reverse" and upstream is None and not impersonate:
            raise ValueError("there is nowhere to go on to without upstream")
        self._listen = listen
        self._losses = Losses(on_loss)
        self._on_loss = on_loss
        self._told_of_want = False
        self._interception = Interception(
            upstream,
            upstream_tls,
            choose,
            Contexts(tap.key_log if tap else None, client_certificate),
            schema,
            GuardedObserver(on_event, self._losses),
            GuardedTap(tap, self._losses) if tap else None,
            set(),
            mode,
            frozenset(map(normal, intercept)),
            frozenset(map(normal, allow_hosts)),
            rules,
            wanted=wanted,
            ask_client=ask_client,
            has_certificate=client_certificate is not None,
            stand_in_address=self._refusing_stand_in if goes_on_alone else None,
        )
        self._stand_in = StandIn() if impersonate else None
        self._refusing: StandIn | None = None
        self._refusing_starts = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._most = 0  # connections at once, since there was none
        self._listeners: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            UserError: the address cannot be listened on, because it is taken, say; the client
                certificate cannot be presented; or clients are to be asked for theirs, and Python
                here cannot.
        """
        if self._interception.ask_client and not SUPPORTED:
            raise UserError(
                "clients cannot be asked for a certificate with this Python: its ssl does not show "
                "the messages of a handshake"
            )
        try:
            self._interception.contexts.rehearse()
        except Unsupported as error:
            raise UserError(f"the client certificate is of no use: {error}") from None
        self._listeners = await _listening(self._listen, self._interception.allowed)
        try:
            await self._look_at_upstream()
        except UserError:
            self._close()
            raise
        if self._interception.mode == "transparent":
            for listener in self._listeners:
                take_foreign(listener)
        if self._stand_in:
            await self._stand_in.__aenter__()
            self._interception = self._interception._replace(
                upstream=self._stand_in.address, upstream_tls=False, stand_in=True
            )
        self._watch()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unwatch()
        self._close()
        # Each connection takes its first step: a task that is cancelled before that never runs,
        # and could neither report the client nor close its socket.
        try:
            await asyncio.sleep(0)
        finally:
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            if self._stand_in:
                await self._stand_in.__aexit__(exc_type, exc, traceback)
            if self._refusing:
                await self._refusing.__aexit__(exc_type, exc, traceback)
            self._interception.contexts.clear()

    async def _refusing_stand_in(self) -> Address:
        """Where calls are answered that the server will not have; listened on when first needed."""
        async with self._refusing_starts:
            if self._refusing is None:
                stand_in = StandIn(UNAVAILABLE, http_status=HTTPStatus.SERVICE_UNAVAILABLE)
                self._refusing = await stand_in.__aenter__()
        return self._refusing.address

    async def _look_at_upstream(self) -> None:
        """See that the server is somebody else, as far as that is known by now.

        Raises:
            UserError: it is not, or `localhost` is another machine.
        """
        listeners = tuple(Address(*each.getsockname()[:2]) for each in self._listeners)
        self._interception = self._interception._replace(listeners=listeners)
        upstream = self._interception.upstream
        if upstream is None or self._stand_in:
            return
        # Nobody is to wait for a name server that has nothing to say about it.
        ports = {listener.port for listener in listeners}
        if upstream.port not in ports and normal(upstream.host) != LOCALHOST:
            return
        try:
            found = await found_at(upstream, self._interception.allowed)
        except (OSError, UnicodeError):
            # It may be known by the time that a client comes, who is told if it is not.
            return
        if any(is_listened_on(each, listeners) for each in found):
            raise UserError(
                f"--upstream {upstream} is where the interceptor itself listens: name the server "
                "behind it, or choose another address with --listen"
            )

    def _close(self) -> None:
        while self._listeners:
            self._listeners.pop().close()

    @property
    def address(self) -> Address:
        """Where it listens, with the real port."""
        host, port = self._listeners[0].getsockname()[:2]
        return Address(host, port)

    @property
    def observer_errors(self) -> int:
        """How often `on_event` or the tap has raised."""
        return self._losses.count

    async def drain(self, limit: float) -> None:
        """Wait until every client that has connected is gone again.

        Args:
            limit: seconds after which it is given up.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                # A client that has come and gone may still be in the listen queue.
                self._accept()
                while self._connections:
                    await asyncio.wait(self._connections)
                    self._accept()

    async def hang_up(self) -> None:
        """End every connection that there is; new ones are taken as before."""
        # A task that is cancelled before its first step never runs.
        await asyncio.sleep(0)
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    # The loop's own servers accept in several steps, of which a `drain` or an end in between would
    # know nothing; and they do not say who the client was if it is gone by then.

    def _watch(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept)

    def _unwatch(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)

    def _accept(self) -> None:
        """Take the clients that wait in the listen queues."""
        for listener in self._listeners:
            for _ in range(BACKLOG):
                try:
                    client, address = listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    break
                except OSError as error:
                    # Out of file descriptors or memory: accept(2). The client stays in the queue.
                    self._tell_of_want(error)
                    self._unwatch()
                    asyncio.get_running_loop().call_later(ACCEPT_RETRY_SECONDS, self._watch)
                    return
                self._accepted += 1
                self._take(self._accepted, client, Address(*address[:2]))

    def _tell_of_want(self, error: OSError) -> None:
        if self._told_of_want:
            return
        self._told_of_want = True
        # Nobody is left to tell of an error in the telling.
        with contextlib.suppress(Exception):
            self._on_loss(
                f"new clients wait until others are gone: {explain(error)}; "
                "'ulimit -n' is how many files and connections there may be"
            )

    def _take(self, number: int, client: socket.socket, address: Address) -> None:
        task = asyncio.create_task(Connection(number, client, address, self._interception).run())
        self._connections.add(task)
        self._most = max(self._most, len(self._connections))
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not self._connections:
            many, self._most = self._most >= MANY, 0
            if many:
                give_back()


async def _listening(address: Address, allowed: Collection[str]) -> list[socket.socket]:
    """Sockets that listen on every address of a host, all on one port.

    A client may try any of them: were one left out, it might find somebody else there.

    Raises:
        UserError: one of them cannot be listened on.
    """
    try:
        found = await found_at(address, allowed)
    except (OSError, UnicodeError) as error:
        raise _not_listening(address, address, error) from None
    if normal(address.host) == LOCALHOST:
        # Clients take it for both, whatever a hosts file says (RFC 6761 section 6.3).
        both = (Address(host, address.port) for host in ("127.0.0.1", "::1"))
        found = list(dict.fromkeys([*found, *both]))
    with contextlib.ExitStack() as put_aside:
        for _ in range(_TRIES):
            listeners = _listeners(address, found)
            if address.port or _is_new(listeners[0].getsockname()[1]):
                break
            # As long as it is taken, the kernel chooses another one.
            for listener in listeners:
                put_aside.callback(listener.close)
        else:
            listeners = _listeners(address, found)
    return listeners


# Ports that the kernel has chosen for this process, the latest of them. A client in it that keeps
# channels by their address, or which of them it has verified, would take one server for another.
_given: dict[int, None] = {}
_MOST_GIVEN = 4096
# The kernel may have few to choose from.
_TRIES = 50


def _is_new(port: int) -> bool:
    """Whether a port is none of the latest, among which it is from now on."""
    if port in _given:
        return False
    _given[port] = None
    if len(_given) > _MOST_GIVEN:
        del _given[next(iter(_given))]
    return True


def _listeners(address: Address, found: Sequence[Address]) -> list[socket.socket]:
    """Sockets that listen on each of these, on one port."""
    while True:
        listeners: list[socket.socket] = []
        unavailable: OSError | None = None
        for each in found:
            port = listeners[0].getsockname()[1] if listeners else address.port
            where = Address(each.host, port)
            try:
                listeners.append(_listener(where))
            except OSError as error:
                # `localhost` is often ::1 as well where IPv6 is switched off.
                if error.errno in _NOT_HERE and len(found) > 1:
                    unavailable = error
                    continue
                for listener in listeners:
                    listener.close()
                # The port that the kernel chose for the first address may be taken on the next.
                if address.port == 0 and listeners and error.errno == errno.EADDRINUSE:
                    break
                raise _not_listening(address, where, error) from None
        else:
            if unavailable and not listeners:
                raise _not_listening(address, address, unavailable)
            return listeners


_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _listener(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.create_server(address, family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def _not_listening(address: Address, where: Address, error: OSError | UnicodeError) -> UserError:
    of = "" if where == address or is_ip(address.host) else f", which is {where}"
    return UserError(
        f"cannot listen on {address}{of}: {explain(error)}; choose another address with --listen"
    )
