"""The loading of what takes a moment, in which Ctrl-C ends the program at once."""

import contextlib
import signal
from collections.abc import Iterator

from mitm.cli.main import leave


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While the block lasts, which imports something, Ctrl-C is answered as at the very start.

    What it raises may come out of an import as another error: of `__set_name__`, in Python 3.11, as
    a RuntimeError.
    """
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
