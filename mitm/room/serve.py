"""Serves the page until it is interrupted, and ends what goes on then."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvicorn

from mitm.address import Address, is_loopback, normal
from mitm.errors import UserError, explain
from mitm.room.app import Room
from mitm.room.choices import Choices
from mitm.room.guard import Guard
from mitm.room.seat import PAGES, Seat
from mitm.room.turns import Turns

# Connections beyond the pages: each may ask for a few things at once.
_CONNECTIONS = 100

# Seconds that answers have to be taken at the end.
_PARTING_SECONDS = 1

# Hosts that stand for all addresses of a machine, and name none.
_ANY = ("0.0.0.0", "::")  # noqa: S104


class Served(NamedTuple):
    """Where the page is.

    Attributes:
        seats: an address each, with its token.
        learners: where learners send to; "" if there is no class.
    """

    seats: tuple[str, ...]
    learners: str


async def serve(
    listen: Address,
    allowed: Sequence[str],
    *,
    seats: int,
    with_class: bool,
    on_ready: Callable[[Served], None],
) -> None:
    """Serve the page, until this is cancelled.

    Args:
        listen: where; has been allowed.
        allowed: hosts besides this machine by which it may be called.
        seats: how many there are.
        with_class: whether learners may send where they are.
        on_ready: told where it is once it is.

    Raises:
        UserError: the address cannot be listened on.
    """
    listener = _listener(listen)
    with TemporaryDirectory(prefix="mitm-demo-") as folder, contextlib.closing(listener):
        port = listener.getsockname()[1]
        turns = Turns(max(2, os.cpu_count() or 1))
        room = Room(
            [Seat(n + 1, secrets.token_hex(16), _folder(folder, n), turns) for n in range(seats)],
            Choices(),
            secrets.token_hex(16) if with_class else "",
        )
        guard = Guard(room.app, [host for host in allowed if host not in _ANY])
        guard.port = port
        server = _Server(
            uvicorn.Config(
                guard,
                loop="none",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=seats * PAGES + _CONNECTIONS,
                timeout_graceful_shutdown=_PARTING_SECONDS,
            )
        )
        serving = asyncio.create_task(server.serve([listener]))
        try:
            room.begin()
            base = f"http://{_called(listen, allowed, port)}"
            on_ready(
                Served(
                    tuple(f"{base}/{seat.token}/" for seat in room.seats),
                    f"{base}/{room.class_token}" if room.class_token else "",
                )
            )
            await serving
        finally:
            # The pages are let go of first: they would wait for news.
            await asyncio.shield(_end(room, server, serving))


async def _end(room: Room, server: uvicorn.Server, serving: "asyncio.Task[None]") -> None:
    await room.close()
    server.should_exit = True
    await asyncio.wait([serving])


class _Server(uvicorn.Server):
    """Leaves signals to the command line, which ends this in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _folder(parent: str, number: int) -> Path:
    folder = Path(parent) / f"seat-{number + 1}"
    folder.mkdir(mode=0o700)
    return folder


def _listener(listen: Address) -> socket.socket:
    # `localhost` may be either, and browsers try both; one is enough, and the address says which.
    host = "127.0.0.1" if normal(listen.host) == "localhost" else listen.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, listen.port), family=family, backlog=128)
    except OSError as error:
        raise UserError(
            f"cannot listen on {listen}: {explain(error)}; choose another address with --listen"
        ) from None


def _called(listen: Address, allowed: Sequence[str], port: int) -> Address:
    """How the page is called by whoever opens it."""
    host = "127.0.0.1" if normal(listen.host) == "localhost" else listen.host
    if host in _ANY:
        named = [name for name in allowed if name not in _ANY and not is_loopback(name)]
        host = named[0] if named else "127.0.0.1"
    return Address(host, port)
