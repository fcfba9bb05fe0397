"""Files of reports, which are written whole or not at all."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from mitm.errors import UserError


class ReportFile:
    """Where a report is to go. That it can is checked before the audit, which takes its time.

    Args:
        option: that named it, for error messages.
        path: the file; one that is there is replaced, a device or pipe is written to.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, option: str, path: Path) -> None:
        self._option = option
        # What a link leads to is replaced, not the link; `resolve` raises where it leads to itself.
        self._path = Path(os.path.realpath(path))
        try:
            self._regular = not path.exists() or stat.S_ISREG(path.stat().st_mode)
            if self._regular:
                self._begin(b"")[1].unlink()
            else:
                # Kept open, so that its reader, if it is a pipe, waits for the report. Without
                # O_NONBLOCK it would be us who wait for a reader. By its own name: what
                # a link such as /dev/stdout leads to may have none.
                self._descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(self._descriptor, True)
        except OSError as error:
            raise self._refusal(error) from None

    def write(self, text: str) -> None:
        """Write the report.

        Raises:
            UserError: it cannot be written.
        """
        try:
            if not self._regular:
                with os.fdopen(self._descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                return
            descriptor_mode, unfinished = self._begin(text.encode())
            unfinished.chmod(descriptor_mode)
            unfinished.replace(self._path)
        except OSError as error:
            raise self._refusal(error) from None

    def _begin(self, data: bytes) -> tuple[int, Path]:
        """Write to a file beside it; that file, and the mode that it is to have in the end."""
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except BaseException:
            Path(name).unlink()
            raise
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask, Path(name)

    def _refusal(self, error: OSError) -> UserError:
        return _refusal(self._option, self._path, error)


class AddedTo:
    """A file to whose end a report is added, as GitHub has it for summaries.

    Args:
        option: that named it, for error messages.
        path: the file; it need not be there.

    Raises:
        UserError: it cannot be written to.
    """

    def __init__(self, option: str, path: Path) -> None:
        self._option = option
        self._path = path
        try:
            there = path.exists()
            if not there or path.is_file():
                # Of others, what a link such as /dev/stdout leads to may have no name.
                self._path = Path(os.path.realpath(path))
            # A pipe is opened when there is something to be read.
            if not self._path.is_fifo():
                with self._path.open("ab"):
                    pass
            if not there:
                self._path.unlink()
        except OSError as error:
            raise _refusal(option, self._path, error) from None

    @property
    def size(self) -> int:
        """Bytes that are in it already."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def write(self, text: str) -> None:
        """Add the report.

        Raises:
            UserError: it cannot be written.
        """
        try:
            before = self.size
            regular = not self._path.exists() or self._path.is_file()
            try:
                with self._path.open("ab") as file:
                    file.write(text.encode())
            except OSError:
                if regular:
                    os.truncate(self._path, before)
                raise
        except OSError as error:
            raise _refusal(self._option, self._path, error) from None


def write_all(
    reports: Iterable[tuple[ReportFile | AddedTo | None, Callable[[], str]]],
) -> list[UserError]:
    """Write reports: what one file cannot take is no reason to keep the rest from anybody.

    Args:
        reports: files, None for those that were not asked for, each with what makes its text.

    Returns:
        Why those that could not be written were not.
    """
    refusals = []
    for file, text in reports:
        try:
            if file:
                file.write(text())
        except UserError as error:
            refusals.append(error)
    return refusals


def _refusal(option: str, path: Path, error: OSError) -> UserError:
    reason = error.strerror
    if error.errno == errno.ENXIO:
        reason = "nobody reads from it: start its reader first"
    return UserError(f"{option}: cannot write {path}: {reason}")
