"""The secrets of TLS connections, as OpenSSL tells them."""

import os
import ssl

from mitm.errors import UserError

# The five secrets of a TLS 1.3 handshake are some 900 bytes, and they are taken out at each step.
_READ_SIZE = 65_536


class KeyLogPipe:
    """Takes key log lines out of `ssl`, which only knows how to append them to a file.

    The file is the end of a pipe: no secret touches a disk, and nothing grows with the connections.

    Raises:
        UserError: pipes have no name in the file system here.

    Attributes:
        path: for `ssl.SSLContext.keylog_filename`.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self.path = f"/dev/fd/{self._writer}"
        try:
            # Python opens the file when it is told its name.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = self.path
        except OSError as error:
            self.close()
            raise UserError(f"cannot take TLS secrets from {self.path}: {error.strerror}") from None

    def take(self) -> bytes:
        """The lines that have come since the last time."""
        try:
            return os.read(self._reader, _READ_SIZE)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)
