"""How a command is told which way clients come here, and which hosts it may deal with."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from mitm.address import Address, guard, must_be_a_name, normal, parse
from mitm.errors import UserError

if TYPE_CHECKING:
    from mitm.proxy import Mode

F = TypeVar("F", bound=Callable[..., Any])

_UPSTREAM = "127.0.0.1:50051"

allow_host_option = click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A host that is not this machine, but is yours to test. May be repeated.",
)


def mode_options(command: F) -> F:
    """Give a command `--mode`, `--intercept`, `--upstream`, and how that is spoken to."""
    for option in (
        click.option(
            "--upstream-tls/--upstream-plaintext",
            default=None,
            help="How the server is spoken to.  [default: as the client speaks]",
        ),
        click.option(
            "--upstream",
            metavar="HOST:PORT",
            help=f"The server.  [default: {_UPSTREAM}; else what the client wants to reach]",
        ),
        click.option("--intercept", multiple=True, metavar="NAME", help=_INTERCEPT),
        click.option(
            "--mode",
            type=click.Choice(["reverse", "connect", "transparent"]),
            default="reverse",
            show_default=True,
            help=_MODE,
        ),
    ):
        command = option(command)
    return command


_MODE = (
    "How clients come here: they dial this address (reverse), have it as their HTTP proxy "
    "(connect), or are redirected by the kernel (transparent)."
)
_INTERCEPT = (
    "A host under test, by name or address; others pass unread. For connect and transparent. "
    "May be repeated."
)


class Position(NamedTuple):
    """Where the interceptor stands.

    Attributes:
        upstream: the server, None if it is for the client to say.
        intercept: hosts under test.
        allowed: hosts that may be dialled although they are not this machine.
    """

    mode: "Mode"
    upstream: Address | None
    intercept: tuple[str, ...]
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        """Whom it stands in the way of."""
        to = f"server at {self.upstream}" if self.upstream else ""
        if self.mode == "reverse":
            return to
        how = "as an HTTP proxy" if self.mode == "connect" else "for redirected clients"
        return ", ".join(filter(None, (f"{how}, of {' and '.join(self.intercept)}", to)))


def position(
    mode: "Mode", upstream: str | None, intercept: tuple[str, ...], allowed: tuple[str, ...]
) -> Position:
    """Check what the options say together.

    Raises:
        UserError: they do not fit, or a host is not allowed.
    """
    if mode == "reverse":
        if intercept:
            raise UserError(
                "--intercept is for --mode connect and --mode transparent: here every client that "
                "connects is intercepted"
            )
        return Position(mode, guard(parse(upstream or _UPSTREAM), allowed), (), allowed)
    if mode == "transparent" and sys.platform != "linux":
        raise UserError("--mode transparent needs Linux: elsewhere, use --mode connect")
    if not intercept:
        raise UserError(
            f"--mode {mode} needs to know what is under test: add --intercept NAME for each host; "
            "connections to others pass unread"
        )
    for name in intercept:
        must_be_a_name(normal(name))
    server = guard(parse(upstream), allowed) if upstream else None
    return Position(mode, server, tuple(dict.fromkeys(map(normal, intercept))), allowed)
