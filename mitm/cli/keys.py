"""Keys, one by one as they are pressed."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator


@contextlib.contextmanager
def pressed() -> Iterator[asyncio.Queue[str]]:
    """The keys that are pressed on the terminal while the block lasts; "" once that is gone.

    Ctrl-C still interrupts.
    """
    descriptor = sys.stdin.fileno()
    keys: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        try:
            data = os.read(descriptor, 1024)
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(descriptor)
            keys.put_nowait("")
        # An arrow is several characters, and no key of ours.
        elif not data.startswith(b"\x1b"):
            for character in data.decode(errors="replace"):
                keys.put_nowait("" if character == "\x04" else character.lower())

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield keys
    finally:
        loop.remove_reader(descriptor)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
