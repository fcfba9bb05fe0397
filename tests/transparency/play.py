"""A gRPC client and a gRPC server of the C core, and a way from one to the other.

Messages are bytes, and the test's own functions are the server's methods. Everything is written as
a user of grpcio would, in threads; the interceptor runs in one of its own.
"""

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import grpc

from mitm import events
from mitm.address import Address
from mitm.cli.recording import Recording
from mitm.events import Direction, Event
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from tests.proxy.stage import LIMIT, LOCALHOST, LOOPS, Props, Seen, presenting

E = TypeVar("E", bound=Event)
Way = Literal[
    "straight", "straight-h2c", "intercepted", "intercepted-h2c", "rewriting", "recording"
]
Options = Sequence[tuple[str, Any]]
Methods = dict[str, "grpc.RpcMethodHandler[bytes, bytes]"]

WAYS: tuple[Way, ...] = ("straight", "straight-h2c", "intercepted", "intercepted-h2c")
SERVICE = "grpc.testing.TestService"
RULE = "users.v1.User.name=Mallory"

# The loop that the command line runs the interceptor on, where there is a choice.
_NEW_LOOP = LOOPS.get("uvloop", LOOPS["asyncio"])

# One connection for each channel, and none that is kept for the next test. A name for 127.0.0.1,
# so that no resolver is asked for an IPv6 address.
_CLIENT: Options = (
    ("grpc.ssl_target_name_override", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

unary = grpc.unary_unary_rpc_method_handler
server_streaming = grpc.unary_stream_rpc_method_handler
client_streaming = grpc.stream_unary_rpc_method_handler
duplex = grpc.stream_stream_rpc_method_handler


class Watched(Seen):
    """The events of an interceptor that runs in another thread."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def await_(self, kind: type[E], /, **fields: object) -> list[E]:
        """All such events, once there is one."""
        with self._told:
            assert self._told.wait_for(lambda: self.all(kind, **fields), LIMIT)
            return self.all(kind, **fields)


class Server:
    """A server of the C core, on a port of 127.0.0.1 that stays its own from start to start."""

    def __init__(
        self, methods: Methods, props: Props, *, tls: bool, options: Options, threads: int
    ) -> None:
        self._methods = methods
        self._credentials: grpc.ServerCredentials | None = None
        if tls:
            pair = props.genuine.key_pem, props.genuine.pem
            self._credentials = grpc.ssl_server_credentials([pair])
        self._options = options
        self._pool = ThreadPoolExecutor(threads)
        self._grpc: grpc.Server | None = None
        # Bound, but not listened on: clients are refused, and nobody else is given the port.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]

    def start(self) -> None:
        handler = grpc.method_handlers_generic_handler(SERVICE, self._methods)
        server = grpc.server(self._pool, handlers=[handler], options=self._options)
        address = f"127.0.0.1:{self.port}"
        if self._credentials:
            server.add_secure_port(address, self._credentials)
        else:
            server.add_insecure_port(address)
        server.start()
        self._grpc = server

    def stop(self, grace: float | None = None) -> threading.Event:
        """Take no new calls; those that run are cancelled, after `grace` seconds if given."""
        assert self._grpc
        return self._grpc.stop(grace)

    def close(self) -> None:
        if self._grpc:
            assert self.stop().wait(LIMIT)
        self._pool.shutdown()
        self._reserved.close()


class Played:
    """What a test has to do with.

    Attributes:
        target: what a client dials.
        roots: what it trusts, PEM.
        server: behind it.
        intercepted: whether the interceptor is between the two: as an endpoint of HTTP/2 with
            rules where the way is `rewriting`, writing all of its files where it is `recording`.
        tls: whether there is TLS on the way.
        seen: what the interceptor told; nothing on the straight way.
    """

    def __init__(self, way: Way, props: Props, server: Server, ends: contextlib.ExitStack) -> None:
        self.way = way
        self.intercepted = not way.startswith("straight")
        self.tls = not way.endswith("h2c")
        self.server = server
        self.seen = Watched()
        self.target = f"127.0.0.1:{server.port}"
        self.roots = (props.attacker_ca if self.intercepted else props.lab_ca).read_bytes()
        self._ends = ends

    def channel(
        self, options: Options = (), credentials: grpc.CallCredentials | None = None
    ) -> Any:
        """A client's `grpc.Channel`, with a connection of its own."""
        options = (*_CLIENT, *options)
        if not self.tls:
            return self._ends.enter_context(grpc.insecure_channel(self.target, options))
        tls = grpc.ssl_channel_credentials(self.roots)
        if credentials:
            tls = grpc.composite_channel_credentials(tls, credentials)
        return self._ends.enter_context(grpc.secure_channel(self.target, tls, options))

    def sizes(self, direction: Direction) -> list[int]:
        """The length of each message that the interceptor has read, in order."""
        return [message.size for message in self.seen.all(events.Message, direction=direction)]

    def saw(self, *, client: Sequence[int], server: Sequence[int]) -> None:
        """The interceptor has read messages of these sizes, and nothing that it did not grasp."""
        if self.intercepted:
            assert (self.sizes("client"), self.sizes("server")) == (list(client), list(server))

    def frames(self, direction: Direction, type_: str) -> list[events.Frame]:
        """The frames of a type that the interceptor has read."""
        return self.seen.all(events.Frame, direction=direction, type=type_)

    def trailers(self) -> list[dict[str, str]]:
        """With what the calls ended, as the interceptor has read it."""
        return [
            dict(block.headers)
            for block in self.seen.all(events.Headers, direction="server")
            if block.kind in ("trailers", "trailers-only")
        ]


class Play(Protocol):
    """Starts what a test has to do with; see `played`."""

    def __call__(
        self,
        methods: Methods,
        *,
        options: Options = (),
        threads: int = 16,
        started: bool = True,
        followed: bool = True,
    ) -> contextlib.AbstractContextManager[Played]: ...


@contextlib.contextmanager
def played(
    way: Way,
    props: Props,
    methods: Methods,
    *,
    options: Options = (),
    threads: int = 16,
    started: bool = True,
    followed: bool = True,
) -> Iterator[Played]:
    """A server with some methods, and a way to it.

    At the end everybody has left, and the interceptor has told all there is to tell.

    Args:
        options: of the server.
        threads: for its methods, each of which takes one while it runs.
        started: False if the test starts the server by itself.
        followed: False if what passes is beyond what the interceptor is to understand.
    """
    tls = not way.endswith("h2c")
    with contextlib.ExitStack() as outer:
        server = Server(methods, props, tls=tls, options=options, threads=threads)
        outer.callback(server.close)
        if started:
            server.start()
        ends = contextlib.ExitStack()
        play = Played(way, props, server, ends)
        if play.intercepted:
            upstream = Address("127.0.0.1", server.port)
            # A rule that none of the messages here is concerned by: what passes stays as it is.
            rules = Rules([RULE], props.schema) if way == "rewriting" else None
            tell: Callable[[Event], None] = play.seen
            tap: Tap | None = None
            if way == "recording":
                tell, tap = outer.enter_context(recorded(play.seen))
            interceptor = outer.enter_context(intercepting(props, upstream, tell, rules, tap))
            play.target = str(interceptor)
        outer.enter_context(ends)
        yield play
    assert bool(play.seen.all(events.ParseFailed)) == (play.intercepted and not followed)
    if play.intercepted:
        assert play.seen.all(events.Closed) != []


@contextlib.contextmanager
def recorded(seen: Watched) -> Iterator[tuple[Callable[[Event], None], Tap | None]]:
    """Whom the interceptor is to tell and to show, so that events, packets and secrets are kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines, packets = folder / "events.jsonl", folder / "packets.pcapng"
        with Recording(lines, packets, folder / "keys") as recording:

            def tell(event: Event) -> None:
                seen(event)
                recording(event)

            yield tell, recording.tap
        assert len(lines.read_bytes().splitlines()) == len(seen.events)
        assert packets.stat().st_size > 0


@contextlib.contextmanager
def intercepting(
    props: Props,
    upstream: Address,
    on_event: Callable[[Event], None],
    rules: Rules | None = None,
    tap: Tap | None = None,
) -> Iterator[Address]:
    """The address of an interceptor that runs in a thread; at its end all clients have left."""
    loop = _NEW_LOOP()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait_for(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(2 * LIMIT)

    interceptor = Interceptor(
        listen=LOCALHOST,
        upstream=upstream,
        choose=presenting(props.forged),
        on_event=on_event,
        rules=rules,
        tap=tap,
    )
    try:
        wait_for(interceptor.__aenter__())
        try:
            yield interceptor.address
            wait_for(interceptor.drain(LIMIT))
        finally:
            wait_for(interceptor.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def path(method: str) -> str:
    """A method's path."""
    return f"/{SERVICE}/{method}"


def total(messages: Iterable[bytes]) -> int:
    """The length of messages together."""
    return sum(len(message) for message in messages)
