"""Clients of the lab, made ready to be run: built on the way, if that was not done before."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mitm.cli.loop import in_loop
from mitm.cli.streams import tell, tell_as_it_is
from mitm.lab.builds import BuildFailed, ready
from mitm.lab.clients import Client
from mitm.masking import plain, without_secrets

# Lines of a tool's output that are shown: what went wrong stands at its end.
_LINES = 20


def made_ready(client: Client) -> Client:
    """Make a client ready to be run, and say what takes long.

    Raises:
        UserError: something that it needs is missing, or it could not be built.
    """
    if not client.requires and not client.build:
        return client
    with progress() as on_step:
        try:
            return in_loop(ready(client, on_step))
        except BuildFailed as error:
            tell_output(error)
            raise


def tell_output(error: BuildFailed) -> None:
    """Print the end of what a tool has said of its failure on stderr."""
    for line in without_secrets(error.output, ()).splitlines()[-_LINES:]:
        tell_as_it_is(f"  {plain(line)}")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Tell on stderr what is being done: on a terminal with something that moves."""
    if not sys.stderr.isatty():
        yield tell
        return
    from rich.console import Console
    from rich.status import Status

    status = Status("", console=Console(stderr=True, highlight=False, markup=False))

    def on_step(step: str) -> None:
        status.update(plain(step))
        status.start()

    try:
        yield on_step
    finally:
        status.stop()
