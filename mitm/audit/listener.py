"""A certificate presented on an address of its own, with a server behind it."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal, NamedTuple, Self

import msgspec
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm import pki
from mitm.address import Address
from mitm.audit.case import CONTROL, Case
from mitm.audit.finding import Finding, judge
from mitm.audit.play import Play, Script, plays_of
from mitm.audit.setting import USUAL, Setting
from mitm.events import Closed, Event
from mitm.evidence import REJECTIONS_ENOUGH, WANTED, ClientRun, Observation, Observer
from mitm.messages import Schema
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.surroundings import TrustStore, through

# Seconds that a client's connections have to end once it has: on one machine that is plenty.
DRAIN_SECONDS = 5.0

# Seconds in which a function that has returned, and has left a connection open, may still make the
# call that it has begun in the background. One that raised has given up.
LINGER_SECONDS = 2.0
GIVEN_UP_SECONDS = 0.1


Placeholder = Literal["target", "host", "port", "name", "url_name", "ca", "pin"]


class Endpoint(msgspec.Struct, frozen=True):
    """Where a client under test is to connect, and whom it is to trust.

    Attributes:
        host: what to dial.
        port: the TCP port.
        name: the name that the server must prove, unless a client takes that from `host`.
        ca_file: PEM file of the CA to trust.
        pin_file: PEM file of the genuine leaf, for a client that trusts that alone.
        system_ca_file: PEM file of what its machine is to trust, for a program; None for what the
            machine does trust. It may be `ca_file` itself.
        proxy: an HTTP proxy that is to be asked for it, for a program; None if there is none.
    """

    host: str
    port: int
    name: str
    ca_file: Path
    pin_file: Path
    system_ca_file: Path | None = None
    proxy: Address | None = None

    @property
    def target(self) -> str:
        """`host:port`, as gRPC takes it."""
        return str(Address(self.host, self.port))

    @property
    def url_name(self) -> str:
        """The name as it stands in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
        return f"[{self.name}]" if ":" in self.name else self.name

    @property
    def ca_pem(self) -> bytes:
        """The CA to trust, PEM."""
        return self.ca_file.read_bytes()

    @property
    def pin_pem(self) -> bytes:
        """The genuine leaf, PEM."""
        return self.pin_file.read_bytes()

    def surroundings(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of a program that connects here.

        Args:
            environment: what it would be otherwise.
        """
        changed = through(environment, self.proxy) if self.proxy else dict(environment)
        if self.system_ca_file:
            store = TrustStore(self.system_ca_file)
            changed = store.planted(changed, over_own=self.system_ca_file == self.ca_file)
        return changed

    def placeholders(self) -> dict[Placeholder, str]:
        """What a command line may name, by its name."""
        return {
            "target": self.target,
            "host": self.host,
            "port": str(self.port),
            "name": self.name,
            "url_name": self.url_name,
            "ca": str(self.ca_file),
            "pin": str(self.pin_file),
        }


class Upstream(msgspec.Struct, frozen=True):
    """The server behind the listeners.

    Attributes:
        tls: False if it takes plaintext only, as the stand-in does.
        client_certificate: what it is given if it asks for one; None for nothing.
    """

    address: Address
    tls: bool
    client_certificate: pki.Chain | None = None


class Seen(NamedTuple):
    """What was seen of a client on one address, from the first step of a play on.

    Attributes:
        complete: whether the client has come to the last step.
    """

    observer: Observer
    complete: bool


class Listener:
    """A case that is played on a port of its own, for `async with`.

    Args:
        case: which; it must not be unsupported.
        upstream: the server behind it.
        pin_pem: the genuine leaf.
        tap: is shown what passes on the sockets.
        control: what the client did with the genuine certificate; None if this is that.
        play: of the case, its first one by default.
        positions_covered: whether each of the client's connections is attacked by itself,
            elsewhere.
        setting: how the client comes here, and whom its machine trusts.
        on_refused: called each time that the client has left a connection, and may try again.
        folder: where the files for the client are made, shared with other listeners; None for one
            of its own.
        ready: what is ready to be presented, by the names of the chains; shared by the listeners
            of one suite, since a rehearsal takes its time.

    Attributes:
        endpoint: what the client is to be told.
        enough: is set when it has done enough to be judged, and need not go on.
    """

    endpoint: Endpoint

    def __init__(
        self,
        case: Case,
        upstream: Upstream,
        pin_pem: bytes,
        tap: Tap | None = None,
        control: Observation | None = None,
        play: Play | None = None,
        *,
        positions_covered: bool = False,
        setting: Setting = USUAL,
        on_refused: Callable[[], None] = lambda: None,
        folder: Path | None = None,
        ready: dict[str, pki.Presentation] | None = None,
    ) -> None:
        self.enough = asyncio.Event()
        self._case = case
        self._play = play or plays_of(case, control)[0]
        self._chain = case.dialled
        self._fault = case.attack.ca if case.attack else None
        # Where the client is told whom to trust, the genuine certificate is as wrong as any.
        self._spared = (CONTROL,) if case.attack and not self._fault else ()
        self._upstream = upstream
        self._pin_pem = pin_pem
        self._tap = tap
        self._control = control
        self._positions_covered = positions_covered
        self._setting = setting
        self._on_refused = on_refused
        self._folder = folder
        self._ready = ready
        self._observer = Observer(spared=self._spared)
        self._change = asyncio.Event()
        self._earlier = 0  # rejections before the last stage
        self._answers: int | None = None  # on all connections, before the first rejection
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to present it.

        Raises:
            pki.Unsupported: OpenSSL refuses to.
        """
        resumable = self._case.attack is not None and self._case.attack.resume
        self._script = Script(self._play, resumable=resumable, ready=self._ready)
        host = self._setting.dialled(self._chain)
        self._interceptor = Interceptor(
            listen=self._setting.listening(self._chain),
            upstream=self._upstream.address,
            upstream_tls=self._upstream.tls,
            choose=self._script.treat,
            # What will be asked for is not known; guessed messages are evidence enough.
            schema=Schema(FileDescriptorSet()),
            on_event=self._see,
            wanted=WANTED,
            tap=self._tap,
            mode=self._setting.mode,
            intercept=() if self._setting.mode == "reverse" else (host,),
            client_certificate=self._upstream.client_certificate,
            # The control is to fail where the server was not reached.
            goes_on_alone=False,
        )
        async with AsyncExitStack() as stack:
            folder = self._folder
            planted = self._setting.roots == "system" or self._play.system_pem
            if folder is None or self._fault or planted:
                temporary = TemporaryDirectory(prefix="mitm-demo-", dir=folder)
                folder = Path(stack.enter_context(temporary))
            pin_file = self._told(folder, "pin", self._pin_pem)
            system_ca_file = None
            if self._setting.roots == "system":
                store = pki.write_trust_store(folder / "system", self._chain.anchor_pem)
                ca_file = system_ca_file = store.file
            else:
                ca_file = self._told(folder, "ca", self._chain.anchor_pem)
                if self._play.system_pem:
                    store = pki.write_trust_store(folder / "system", self._play.system_pem)
                    system_ca_file = store.file
            await stack.enter_async_context(self._interceptor)
            self._stack = stack.pop_all()
        port = self._interceptor.address.port
        self.endpoint = Endpoint(
            host=host,
            port=port,
            name=self._chain.server_name,
            ca_file=ca_file,
            pin_file=pin_file,
            system_ca_file=system_ca_file,
            proxy=self._setting.proxy(port),
        )
        return self

    def _told(self, folder: Path, name: str, pem: bytes) -> Path:
        """Write a file that tells the client whom to trust, with what is to be wrong with it.

        In a folder that is shared, whoever tells the same has one file.
        """
        path = folder / f"{name}.pem"
        if self._fault:
            pki.write_faulty(path, pem, self._fault)
            return path
        if folder == self._folder:
            path = folder / f"{name}-{hashlib.sha256(pem).hexdigest()[:8]}.pem"
        if not path.exists():
            pki.write_private(path, pem)
        return path

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def attacked(self) -> bool:
        """Whether the client has made a connection that it is judged by."""
        return self._observer.attacked

    async def judge(self, client: ClientRun) -> Finding:
        """Judge the client, once its run is over, by what was seen since this was last asked.

        A client's connections end with its process, and are waited for so that all that it sent is
        read. A function in the process of its caller may well leave some open: those are waited for
        only while it is not clear yet what comes of them.

        Args:
            client: what is known of its run.
        """
        await self.settle(client)
        observer, self._observer = self._observer, Observer(spared=self._spared)
        return judge(
            self._case,
            observer,
            client,
            self._control,
            self._play,
            positions_covered=self._positions_covered,
            complete=self._script.complete,
        )

    def begin_anew(self) -> "Seen":
        """Play it from its first step again.

        Returns:
            What was seen until now. Connections that are open go on: they are seen to their ends
            by whoever comes next, too.
        """
        observer, self._observer = self._observer, self._observer.rest()
        seen = Seen(observer, self._script.complete)
        self._script.rewind()
        return seen

    @property
    def tried(self) -> bool:
        """Whether a client has connected since it was begun."""
        return self._observer.news

    @property
    def step(self) -> int:
        """The step that the next connection comes to, from 1."""
        return self._script.step

    async def called(self, client: ClientRun) -> bool:
        """The client has been called once, and will be again: go on to what it is to meet then.

        A connection that it has kept would meet nothing new: it is closed.

        Args:
            client: what is known of its run.

        Returns:
            Whether it is to be called again: it has come back, and if it was to get through, it
            has.
        """
        if client.over:
            await self.settle(client)
        got_through = self._observer.spoken or not self._script.genuine
        self._script.called()
        await self._interceptor.hang_up()
        return client.over and got_through

    async def settle(self, client: ClientRun) -> None:
        """Wait until nothing more is to be expected of a client's connections.

        Args:
            client: what is known of its run, which is over.
        """
        # A client that has come and gone may still be in the listen queue.
        await self._interceptor.drain(0)
        if not (client.over or client.killed):
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while (until := begun + self._patience(client)) > loop.time():
            self._change.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._change.wait()

    def _patience(self, client: ClientRun) -> float:
        """Seconds that its connections have from its end on."""
        remain = self._observer.open()
        if client.end == "ended" or client.killed:
            return DRAIN_SECONDS if remain else 0
        remain = [each for each in remain if not each.over_the_line]
        if not remain:
            return 0
        if not all(each.accepted for each in remain):
            return DRAIN_SECONDS
        return GIVEN_UP_SECONDS if client.failed else LINGER_SECONDS

    def _see(self, event: Event) -> None:
        self._observer(event)
        self._change.set()
        # To count again what a client in a loop leaves would cost more each time.
        if self.enough.is_set():
            return
        if isinstance(event, Closed):
            self._count_rejections()
        # A service goes on after its call.
        if self._goes_on and (self._observer.answered or self._recovered()):
            self.enough.set()

    def _count_rejections(self) -> None:
        rejections = self._observer.rejections
        if rejections or self._observer.turned_away:
            self._on_refused()
        if rejections and self._answers is None:
            self._answers = self._observer.answers
        if not self._script.complete:
            # What comes in the last stage is to be seen as often as ever.
            self._earlier = rejections
        elif rejections - self._earlier >= self._rejections_enough():
            self.enough.set()

    def _recovered(self) -> bool:
        """Whether it has gone on, where there is nothing more to reject, after what it rejected."""
        spared_from_now = self._play.position is not None or self._play.ends_genuine
        return (
            spared_from_now and self._answers is not None and self._observer.answers > self._answers
        )

    @property
    def _goes_on(self) -> bool:
        return self._control is not None and self._control.end == "still-running"

    def _rejections_enough(self) -> int:
        """Rejections after which the client need not go on.

        A client that fetches the certificate before it connects leaves a connection each time.
        """
        made = len(self._control.evidence.connections) if self._control else 1
        return REJECTIONS_ENOUGH + made - 1
