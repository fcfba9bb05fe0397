"""The length-prefixed vectors that TLS structures are made of (RFC 8446 section 3.4)."""


class MalformedError(Exception):
    """The bytes are not the structure that they should be; the text says why."""


class Reader:
    """Reads numbers and vectors one after the other.

    Args:
        data: what they stand in.
        what: the structure that this is, for the text of an error.
    """

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        """The next bytes.

        Raises:
            MalformedError: there are not as many.
        """
        start = self._at
        self._at = end = start + length
        if end > len(self._data):
            raise self.too_short()
        return self._data[start:end]

    def too_short(self) -> MalformedError:
        """That a length reaches beyond the end."""
        return MalformedError(f"a length reaches beyond the end of the {self._what}")

    def number(self, size: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, prefix: int) -> bytes:
        """The content of a vector, whose length stands in so many bytes."""
        return self.take(int.from_bytes(self.take(prefix), "big"))

    def inner(self, prefix: int) -> "Reader":
        """What reads the content of such a vector."""
        return Reader(self.vector(prefix), self._what)
