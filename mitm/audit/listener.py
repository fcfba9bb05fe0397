"""A certificate presented on an address of its own, with a server behind it."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm import pki
from mitm.address import Address
from mitm.audit.case import Case
from mitm.audit.finding import ClientRun, Finding, judge
from mitm.events import ApplicationData, Closed, Connected, Event, Headers
from mitm.messages import Schema
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.verdict import PREFACE_START

# Seconds that a client's connections have to end once it has: on one machine that is plenty.
DRAIN_SECONDS = 5.0

# The events of one certificate are kept until it is judged. A client that goes on and on has shown
# long before this what it does.
EVENT_LIMIT = 10_000


class Endpoint(msgspec.Struct, frozen=True):
    """Where a client under test is to connect, and whom it is to trust.

    Attributes:
        host: what to dial.
        port: the TCP port.
        name: the name that the server must prove, unless a client takes that from `host`.
        ca_file: PEM file of the CA to trust.
        pin_file: PEM file of the genuine leaf, for a client that trusts that alone.
    """

    host: str
    port: int
    name: str
    ca_file: Path
    pin_file: Path

    @property
    def target(self) -> str:
        """`host:port`, as gRPC takes it."""
        return str(Address(self.host, self.port))

    @property
    def ca_pem(self) -> bytes:
        """The CA to trust, PEM."""
        return self.ca_file.read_bytes()

    @property
    def pin_pem(self) -> bytes:
        """The genuine leaf, PEM."""
        return self.pin_file.read_bytes()

    def placeholders(self) -> dict[str, str]:
        """What a command line may name, by its name."""
        return {
            "target": self.target,
            "host": self.host,
            "port": str(self.port),
            "name": self.name,
            "ca": str(self.ca_file),
            "pin": str(self.pin_file),
        }


class Upstream(msgspec.Struct, frozen=True):
    """The server behind the listeners.

    Attributes:
        tls: False if it takes plaintext only, as the stand-in does.
    """

    address: Address
    tls: bool


class Listener:
    """A certificate that is presented on a port of its own, for `async with`.

    Args:
        case: which; its chain must be there.
        upstream: the server behind it.
        pin_pem: the genuine leaf.
        tap: is shown what passes on the sockets.

    Attributes:
        endpoint: what the client is to be told.
    """

    endpoint: Endpoint

    def __init__(
        self, case: Case, upstream: Upstream, pin_pem: bytes, tap: Tap | None = None
    ) -> None:
        assert case.chain is not None
        self._case = case
        self._chain = case.chain
        self._pin_pem = pin_pem
        self._interceptor = Interceptor(
            # The host that the client is to dial, so that it is found at each of its addresses.
            listen=Address(case.host, 0),
            upstream=upstream.address,
            upstream_tls=upstream.tls,
            choose=lambda _: self._chain,
            # What will be asked for is not known; guessed messages are evidence enough.
            schema=Schema(FileDescriptorSet()),
            on_event=self._see,
            tap=tap,
        )
        self._seen: list[Event] = []
        self._open: set[int] = set()
        self._undecided: set[int] = set()
        self._change = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to present it.

        Raises:
            pki.Unsupported: OpenSSL refuses to.
        """
        pki.ssl_context(self._chain)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="mitm-demo-")))
            ca_file, pin_file = folder / "ca.pem", folder / "pin.pem"
            pki.write_private(ca_file, self._chain.anchor_pem)
            pki.write_private(pin_file, self._pin_pem)
            await stack.enter_async_context(self._interceptor)
            self._stack = stack.pop_all()
        self.endpoint = Endpoint(
            host=self._case.host,
            port=self._interceptor.address.port,
            name=self._case.server_name,
            ca_file=ca_file,
            pin_file=pin_file,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def judge(self, client: ClientRun) -> Finding:
        """Judge the client, once it has ended, by what was seen since this was last asked.

        Connections that have neither ended nor carried a request are waited for. Those that have
        are waited for if the client's process has ended, so that all that it sent is read.
        Otherwise not: a client in the process of its caller may well leave them open.

        Args:
            client: what is known of its run.
        """
        # A client that has come and gone may still be in the listen queue.
        await self._interceptor.drain(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._open if client.ended else self._undecided:
                    self._change.clear()
                    await self._change.wait()
        seen, self._seen = self._seen, []
        return judge(self._case, seen, client)

    def _see(self, event: Event) -> None:
        match event:
            case Connected():
                self._open.add(event.connection)
                self._undecided.add(event.connection)
            case Closed():
                self._open.discard(event.connection)
                self._undecided.discard(event.connection)
                self._change.set()
            case ApplicationData(direction="client") if not _opens_http2(event.sample):
                self._undecided.discard(event.connection)
                self._change.set()
            case Headers(direction="client"):
                self._undecided.discard(event.connection)
                self._change.set()
        if len(self._seen) < EVENT_LIMIT or isinstance(event, Connected | Closed | ApplicationData):
            self._seen.append(event)


def _opens_http2(sample: bytes) -> bool:
    return sample[: len(PREFACE_START)] == PREFACE_START[: len(sample)]
