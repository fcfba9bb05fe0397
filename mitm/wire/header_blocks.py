"""Header blocks to header lists (HPACK, RFC 7541), remembering those that come again and again."""

import base64

import hpack
from hpack.table import HeaderTable

# The longest header list, 32 bytes added to each field as in RFC 9113 section 10.5.1: the default
# of hpack. Go's net/http takes 1 MiB, nginx 32 KiB.
MAX_HEADER_LIST = 64 * 1024

# How many blocks are remembered: a client has a handful of methods, each with one block for
# requests, responses and trailers, once its headers are in the table.
REMEMBERED = 32

HeaderList = tuple[tuple[str, str], ...]

_TABLE_SIZE_UPDATE = 0b001  # in the top three bits of a block's first byte (RFC 7541 section 6.3)


class _Table(HeaderTable):
    """A header table that tells when it has taken a new entry."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)


class HeaderDecoder:
    """Decodes the header blocks of one direction, all of them and in order: HPACK has one state.

    A block means the same as before as long as the table is the same, and the calls of a gRPC
    client differ in their messages: almost every block has been seen before.
    """

    def __init__(self) -> None:
        self._hpack = hpack.Decoder(max_header_list_size=MAX_HEADER_LIST)
        self._table = self._hpack.header_table = _Table()
        self._known: dict[bytes, HeaderList] = {}

    @property
    def max_table_size(self) -> int:
        """The largest table that the sender may use, in bytes (RFC 7541 section 4.2)."""
        return self._hpack.max_allowed_table_size

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._hpack.max_allowed_table_size = size
        # A block that does not shrink a table that has become too large is an error from now on.
        self._known.clear()

    def decode(self, block: bytes) -> HeaderList:
        """Decode the next block; bytes that are not UTF-8 become backslash escapes.

        Binary metadata of gRPC is in base64, however it was sent.

        Raises:
            hpack.HPACKError: the block is malformed, or the list longer than `MAX_HEADER_LIST`.
        """
        if known := self._known.get(block):
            return known
        headers = tuple(
            (name.decode("utf-8", "backslashreplace"), _text(name, value))
            for name, value in self._hpack.decode(block, raw=True)
        )
        resized = bool(block) and block[0] >> 5 == _TABLE_SIZE_UPDATE
        if self._table.changed or resized or len(self._known) == REMEMBERED:
            self._known.clear()
        if not (self._table.changed or resized):
            self._known[block] = headers
        self._table.changed = False
        return headers


def _text(name: bytes, value: bytes) -> str:
    # gRPC's C core sends binary metadata as it is, behind a zero byte, to a peer that has announced
    # to take that (GRPC_ALLOW_TRUE_BINARY_METADATA, the setting 0xFE03).
    if name.endswith(b"-bin") and value.startswith(b"\0"):
        value = base64.b64encode(value[1:]).rstrip(b"=")
    return value.decode("utf-8", "backslashreplace")
