"""Files for what was decrypted: for their owner alone, made of whole records, never in the way."""

import asyncio
import contextlib
import errno
import os
import select
import stat
from pathlib import Path

from mitm.errors import UserError

# Bytes that wait for the reader of a pipe, some ten thousand events. A pipe itself holds 64 KiB
# (pipe(7)), and one reader that was stopped must not fill the memory.
WAITING_LIMIT = 4 * 1024 * 1024

# Seconds after which a pipe that was full is tried again, and that its reader has at the end to
# take anything at all.
_AGAIN_SECONDS = 0.05
READER_SECONDS = 5.0


class PrivateFile:
    """A file that grows by whole records, and that only its owner may read.

    A record that cannot be written (disk full, say) is counted as lost, and whoever writes goes on.
    A pipe is written to as fast as its reader takes it; what waits meanwhile is bounded.

    Args:
        path: of the file, which is written anew.
        records: what the records are, in the words of messages: `events`.
        limit: bytes that it may have; None for any number.

    Raises:
        UserError: the file cannot be made, or is a pipe that nobody reads.

    Attributes:
        lost: how many records could not be written.
        loss: how many and why, in a line; "" if none were lost.
    """

    def __init__(self, path: Path, records: str, limit: int | None = None) -> None:
        try:
            # Without O_NONBLOCK a pipe waits for its reader; with it, it says that there is none.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o600)
            # A file that was there keeps its mode; a device (/dev/stdout) is not ours to change.
            self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._regular:
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            reason = error.strerror
            if error.errno == errno.ENXIO:
                reason = "nobody reads from it: start its reader first"
            raise UserError(f"cannot write {records} to {path}: {reason}") from None
        self._path = path
        self._records = records
        self._limit = limit
        self._descriptor = descriptor
        self._length = 0
        self._written = 0
        self._reason = ""
        self.lost = 0
        # Half a record that could not be taken back: nothing after it could be read.
        self._spoilt = False
        # What a pipe has not taken yet.
        self._waiting = bytearray()
        self._records_waiting = 0

    def append(self, data: bytes | bytearray, records: int = 1) -> bool:
        """Write records; they are on their way to the disk, or to a reader, when this returns.

        Args:
            data: one record, or several that are written or lost together.
            records: how many these are.

        Returns:
            Whether they were. If not, they were counted.
        """
        self._write_waiting()
        if self._limit is not None and self._length + len(data) > self._limit:
            self._reason = f"it may have {self._limit} bytes"
            # What is short enough would not be what comes next.
            self._spoilt = True
        if self._spoilt:
            return self._lose(records)
        begun = 0
        try:
            # No buffer of our own.
            while begun < len(data) and not self._waiting:
                begun += os.write(self._descriptor, data[begun:])
        except BlockingIOError:
            pass
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._take_back(begun)
            return self._lose(records)
        if begun < len(data):
            if not begun and len(self._waiting) + len(data) > WAITING_LIMIT:
                self._reason = "its reader is too slow"
                return self._lose(records)
            self._wait(data[begun:], records)
        self._length += len(data)
        self._written += records
        return True

    def _lose(self, records: int) -> bool:
        self.lost += records
        return False

    def _take_back(self, length: int) -> None:
        """Remove the beginning of a record; there may be room again for the next."""
        if not length:
            return
        try:
            os.ftruncate(self._descriptor, self._length)
            os.lseek(self._descriptor, self._length, os.SEEK_SET)
        except OSError:
            # A pipe, for example.
            self._spoilt = True

    def _wait(self, rest: bytes | bytearray, records: int) -> None:
        """Keep what a pipe does not take, and try again though nothing more may come."""
        if not self._waiting:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._try_again)
        self._waiting += rest
        self._records_waiting += records

    def _try_again(self) -> None:
        self._write_waiting()
        if self._waiting:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._try_again)

    def _write_waiting(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting)]
            self._records_waiting = 0
        except BlockingIOError:
            pass
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _give_up(self, reason: str) -> None:
        """Count what waits as lost: nobody will read it."""
        self._reason = reason
        self.lost += self._records_waiting
        self._waiting.clear()
        self._records_waiting = 0
        self._spoilt = True

    def close(self) -> None:
        """Close the file, and count what went into one that was removed meanwhile."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while self._waiting:
            if not poll.poll(READER_SECONDS * 1000):
                self._give_up("its reader has stopped")
            self._write_waiting()
        if self._regular and not os.fstat(self._descriptor).st_nlink:
            self.lost += self._written
            self._reason = "the file was removed"
        os.close(self._descriptor)

    @property
    def loss(self) -> str:
        if not self.lost:
            return ""
        return f"{self.lost} {self._records} could not be written to {self._path}: {self._reason}"
