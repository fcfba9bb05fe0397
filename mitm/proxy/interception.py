"""What all connections of an interceptor have in common."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from mitm import pki
from mitm.address import Address
from mitm.events import EVERYTHING, Event, Wanted
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy.contexts import Contexts
from mitm.proxy.tap import Tap
from mitm.proxy.treatment import Treatment
from mitm.tls import Hello

Mode = Literal["reverse", "connect", "transparent"]


class Interception(NamedTuple):
    """What is to be done with each connection; see `Interceptor`.

    Attributes:
        dialled: both addresses of each connection to a server, the local one first.
        listeners: where clients are expected.
        has_certificate: whether there is a client certificate for the server.
        stand_in_address: where a stand-in answers for a server that refuses this side; None if
            that is the end of the connection.
    """

    upstream: Address | None
    upstream_tls: bool | None
    choose: Callable[[Hello], pki.Presentation | Treatment]
    contexts: Contexts
    schema: Schema
    on_event: Callable[[Event], None]
    tap: Tap | None
    dialled: set[tuple[Address, Address]]
    mode: Mode = "reverse"
    intercept: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    rules: Rules | None = None
    stand_in: bool = False
    wanted: Wanted = EVERYTHING
    listeners: tuple[Address, ...] = ()
    ask_client: bool | None = None
    has_certificate: bool = False
    stand_in_address: Callable[[], Awaitable[Address]] | None = None
