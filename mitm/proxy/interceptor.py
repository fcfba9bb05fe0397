"""The interceptor as a whole: it listens, and hands each client to a connection of its own."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mitm.address import Address
from mitm.errors import UserError
from mitm.events import Event
from mitm.pki import Chain
from mitm.proxy.connection import Connection, Task
from mitm.tls import Hello
from mitm.wire import Schema


class Interceptor:
    """A TLS-terminating proxy for one server, for `async with`.

    It presents a certificate of its own to the client, dials the server in the client's place, and
    relays every byte untouched; what it decrypts on the way goes to `on_event`.

    Args:
        listen: where clients are expected; port 0 lets the kernel choose.
        upstream: the server.
        choose: picks the chain to present, once the ClientHello has been read.
        schema: descriptors that messages are shown through.
        on_event: called with each event as it happens; it must not block for long or raise.
    """

    def __init__(
        self,
        *,
        listen: Address,
        upstream: Address,
        choose: Callable[[Hello], Chain],
        schema: Schema,
        on_event: Callable[[Event], None],
    ) -> None:
        self._listen = listen
        self._task = Task(upstream, choose, schema, on_event)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            UserError: the address cannot be listened on, because it is taken, say.
        """
        try:
            self._server = await asyncio.start_server(self._accept, *self._listen)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"cannot listen on {self._listen}: {reason}; choose another address with --listen"
            ) from None
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def address(self) -> Address:
        """Where it listens, with the real port."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def drain(self, limit: float) -> None:
        """Wait until every client that has connected is gone again.

        Args:
            limit: seconds after which it is given up.
        """
        # A client that has come and gone may still be in the listen queue: let the loop poll it.
        for _ in range(3):
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._connections:
                    await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        await Connection(self._accepted, reader, writer, self._task).run()
