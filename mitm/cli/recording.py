"""What commands write down besides what they show: events, packets, TLS secrets."""

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from mitm.cli.streams import tell
from mitm.errors import UserError
from mitm.events import EVERYTHING, LEAST, Event

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


def recording_options(command: F) -> F:
    """Give a command `--events`, `--pcap` and `--keylog`."""
    events = click.option("--events", type=_FILE, metavar="FILE", help=_EVENTS)
    return events(capture_options(command))


def capture_options(command: F) -> F:
    """Give a command `--pcap` and `--keylog`."""
    pcap = click.option("--pcap", type=_FILE, metavar="FILE", help=_PCAP)
    key_log = click.option("--keylog", type=_FILE, metavar="FILE", help=_KEY_LOG)
    return pcap(key_log(command))


_EVENTS = "Write every event as a JSON line. Holds what was decrypted, unmasked; mode 0600."
_PCAP = (
    "Write the packets, for Wireshark. Holds the TLS secrets, and so all that was decrypted, "
    "unmasked; mode 0600."
)
_KEY_LOG = (
    "Write the TLS secrets, in the format of SSLKEYLOGFILE. They open every capture of these "
    "connections; mode 0600."
)


def must_differ(outputs: Mapping[str, Path | None]) -> None:
    """Insist that no two outputs go into one file, where they would overwrite each other.

    Args:
        outputs: by their options; None for none.

    Raises:
        UserError: two of them are one.
    """
    seen: dict[object, str] = {}
    with contextlib.suppress(OSError):
        about = os.fstat(1)
        if stat.S_ISREG(about.st_mode):
            seen[about.st_dev, about.st_ino] = "standard output"
    for option, path in outputs.items():
        if path is None:
            continue
        key: object = os.path.realpath(path)
        with contextlib.suppress(OSError):
            about = path.stat()
            if stat.S_ISCHR(about.st_mode):
                # A terminal, or /dev/null.
                continue
            key = about.st_dev, about.st_ino
        if key in seen:
            raise UserError(f"{seen[key]} and {option} go into one file: {path}; name two")
        seen[key] = option


class Recording:
    """The files that a command was asked to write, for `with`; it is complete when that ends.

    What could not be written is reported then, in a line on stderr for each file.

    Args:
        events, pcap, keylog: the files; None for none.

    Raises:
        UserError: a file cannot be made, or is two of them.

    Attributes:
        complete: whether all was written; known when it has ended.
        tap: for the `Interceptor`; None if nobody wants packets or secrets.
        wanted: the events that are written down: all or none.
    """

    def __init__(
        self, events: Path | None, pcap: Path | None = None, keylog: Path | None = None
    ) -> None:
        # They take a moment to load, and the options alone do without.
        from mitm.capture import JsonLines, Recorder

        must_differ({"--events": events, "--pcap": pcap, "--keylog": keylog})
        self.complete = True
        self._log = JsonLines(events) if events else None
        self.wanted = EVERYTHING if events else LEAST
        self.tap = Recorder(pcap, keylog) if pcap or keylog else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        losses = []
        if self._log:
            self._log.close()
            losses.append(self._log.loss)
        if self.tap:
            self.tap.close()
            losses += self.tap.losses
        for loss in filter(None, losses):
            self.complete = False
            tell(loss)

    def exit_code(self, code: int) -> int:
        """A command's exit code; what would be 0 is 2 if a file has not got all."""
        return code or (0 if self.complete else 2)

    def __call__(self, event: Event) -> None:
        """Write an event down."""
        if self._log:
            self._log(event)
