"""IP packets made up around the bytes of a TCP connection, as they would have been on the wire.

What a socket gives and takes is a stream; a capture is made of packets. Lengths, numbers and
checksums are right. What no program sees is left out: pure ACKs, retransmissions, window updates.
"""

import ipaddress
import os
import struct
from collections.abc import Iterator

from mitm.address import Address
from mitm.events import Direction

# RFC 9293 section 3.1.
_FIN, _SYN, _RST, _PSH, _ACK = 0x01, 0x02, 0x04, 0x08, 0x10
_WINDOW = 0xFFFF
# The largest scale (RFC 7323 section 2.3) and a NOP: a window of a gigabyte is never exceeded.
_WINDOW_SCALE = bytes([3, 3, 14, 1])

_TCP = 6
_HOPS = 64
_DONT_FRAGMENT = 0x4000

# An IPv4 packet counts its bytes in 16 bits (RFC 791 section 3.1), both headers included.
SEGMENT_LIMIT = 0xFFFF - 20 - 20


class _End:
    """One end of a connection, and how much it has sent."""

    def __init__(self, address: Address) -> None:
        self.host = ipaddress.ip_address(address.host).packed
        self.port = address.port
        # Not always the same: a connection from a port that is used again would look like more of
        # the one before it (RFC 9293 section 3.4.1).
        self.sequence = int.from_bytes(os.urandom(4))
        self.ended = False


class TcpConnection:
    """Makes the packets of one connection.

    Args:
        client: the IP address and port that dialled.
        server: those that were dialled.
    """

    def __init__(self, client: Address, server: Address) -> None:
        self._ends: dict[Direction, _End] = {"client": _End(client), "server": _End(server)}

    def handshake(self) -> Iterator[bytes]:
        """The three packets that a connection begins with (RFC 9293 section 3.5)."""
        yield self._packet("client", _SYN, options=_WINDOW_SCALE)
        yield self._packet("server", _SYN | _ACK, options=_WINDOW_SCALE)
        yield self._packet("client", _ACK)

    def data(self, sender: Direction, data: bytes) -> Iterator[bytes]:
        """As many packets as these bytes take; none after the sender's end."""
        if self._ends[sender].ended:
            return
        for start in range(0, len(data), SEGMENT_LIMIT):
            yield self._packet(sender, _PSH | _ACK, data[start : start + SEGMENT_LIMIT])

    def end(self, sender: Direction, *, reset: bool) -> Iterator[bytes]:
        """The packet with which a direction ends, or with a reset both; none if it has."""
        if reset and not all(end.ended for end in self._ends.values()):
            yield self._packet(sender, _RST | _ACK)
            for end in self._ends.values():
                end.ended = True
        elif not self._ends[sender].ended:
            yield self._packet(sender, _FIN | _ACK)
            self._ends[sender].ended = True

    def _packet(
        self, sender: Direction, flags: int, data: bytes = b"", options: bytes = b""
    ) -> bytes:
        source = self._ends[sender]
        target = self._ends["server" if sender == "client" else "client"]
        length = 20 + len(options) + len(data)
        header = bytearray(
            struct.pack(
                "!HHIIBBHHH",
                source.port,
                target.port,
                source.sequence,
                target.sequence if flags & _ACK else 0,
                (20 + len(options)) // 4 << 4,
                flags,
                _WINDOW,
                0,
                0,
            )
        )
        header += options
        # RFC 9293 section 3.1, and RFC 8200 section 8.1: the sum is the same for both headers.
        pseudo_header = source.host + target.host + struct.pack("!II", length, _TCP)
        struct.pack_into("!H", header, 16, _checksum(pseudo_header + header + data))
        # SYN and FIN are counted like a byte (RFC 9293 section 3.4).
        counted = len(data) + bool(flags & (_SYN | _FIN))
        source.sequence = (source.sequence + counted) % 2**32
        return _ip_header(source.host, target.host, length) + header + data


def _ip_header(source: bytes, target: bytes, length: int) -> bytes:
    if len(source) == 16:  # RFC 8200 section 3
        return struct.pack("!IHBB", 6 << 28, length, _TCP, _HOPS) + source + target
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, _DONT_FRAGMENT, _HOPS, _TCP, 0)
    checksum = struct.pack("!H", _checksum(header + source + target))
    return header[:10] + checksum + source + target


def _checksum(data: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    # Carries come back in at the other end, so that 2**16 counts as 1: the sum of the words is the
    # remainder by 0xFFFF, which Python finds at the speed of C.
    return (0xFFFF - int.from_bytes(data) % 0xFFFF) % 0xFFFF
