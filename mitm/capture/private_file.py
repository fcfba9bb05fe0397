"""Files for what was decrypted: for their owner alone, made of whole records, never in the way."""

import os
import stat
from pathlib import Path

from mitm.errors import UserError


class PrivateFile:
    """A file that grows by whole records, and that only its owner may read.

    A record that cannot be written (disk full, say) is counted as lost, and whoever writes goes on.

    Args:
        path: of the file, which is written anew.
        records: what the records are, in the words of messages: `events`.

    Raises:
        UserError: the file cannot be made.

    Attributes:
        lost: how many records could not be written.
        loss: how many and why, in a line; "" if none were lost.
    """

    def __init__(self, path: Path, records: str) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            # A file that was there keeps its mode; a device (/dev/stdout) is not ours to change.
            self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._regular:
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise UserError(f"cannot write {records} to {path}: {error.strerror}") from None
        self._path = path
        self._records = records
        self._descriptor = descriptor
        self._length = 0
        self._written = 0
        self._reason = ""
        self.lost = 0
        # Half a record that could not be taken back: nothing after it could be read.
        self._spoilt = False

    def append(self, data: bytes | bytearray, records: int = 1) -> bool:
        """Write records; they are on their way to the disk when this returns.

        Args:
            data: one record, or several that are written or lost together.
            records: how many these are.

        Returns:
            Whether they were written. If not, they were counted.
        """
        # No buffer of our own.
        rest = data
        try:
            while rest and not self._spoilt:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._take_back(len(data) - len(rest))
        if rest:
            self.lost += records
            return False
        self._length += len(data)
        self._written += records
        return True

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

    def close(self) -> None:
        """Close the file, and count what went into one that was removed meanwhile."""
        if self._regular and not os.fstat(self._descriptor).st_nlink:
            self.lost += self._written
            self._reason = "the file was removed"
        os.close(self._descriptor)

    @property
    def loss(self) -> str:
        if not self.lost:
            return ""
        return f"{self.lost} {self._records} could not be written to {self._path}: {self._reason}"
