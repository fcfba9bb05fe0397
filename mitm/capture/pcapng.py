"""Blocks of a pcapng file, the capture format of Wireshark (draft-ietf-opsawg-pcapng)."""

import struct
from collections.abc import Iterable

# Block types, of the draft's section 11.1.
_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_ENHANCED_PACKET = 6
_DECRYPTION_SECRETS = 10

_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_UNKNOWN_LENGTH = 2**64 - 1

# "Raw IP; the packet begins with an IPv4 or IPv6 header" (the tcpdump group's list of link types).
_LINKTYPE_RAW = 101
_TLS_KEY_LOG = 0x544C534B

# Options: end of the list, and by block type.
_END_OF_OPTIONS = 0
_APPLICATION = 4
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9
_NANOSECONDS = bytes([9])  # a negative power of ten


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes, options: Iterable[tuple[int, bytes]] = ()) -> bytes:
    encoded = b"".join(
        struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options
    )
    if encoded:
        encoded += struct.pack("<HH", _END_OF_OPTIONS, 0)
    length = len(body) + len(encoded) + 12
    return struct.pack("<II", kind, length) + body + encoded + struct.pack("<I", length)


def section_header(application: str) -> bytes:
    """The block that a file begins with.

    Args:
        application: the program that writes it.
    """
    body = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    return _block(_SECTION_HEADER, body, [(_APPLICATION, application.encode())])


def interface(name: str, description: str) -> bytes:
    """An interface, numbered from 0 in the order of these blocks; its packets are IP packets.

    Args:
        name: what tools show it and filter it by.
        description: the same in a few words.
    """
    options = [
        (_NAME, name.encode()),
        (_DESCRIPTION, description.encode()),
        (_RESOLUTION, _NANOSECONDS),
    ]
    # A snapshot length of 0: packets are never cut.
    return _block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", _LINKTYPE_RAW, 0, 0), options)


def packet(interface: int, time: int, data: bytes) -> bytes:
    """One packet.

    Args:
        interface: its number.
        time: nanoseconds since the epoch.
        data: the packet, from its IP header on.
    """
    header = struct.pack("<IIIII", interface, time >> 32, time & 0xFFFF_FFFF, len(data), len(data))
    return _block(_ENHANCED_PACKET, header + _padded(data))


def tls_secrets(key_log: bytes) -> bytes:
    """TLS secrets, for the packets that come after them.

    Args:
        key_log: lines in the format of NSS (SSLKEYLOGFILE).
    """
    body = struct.pack("<II", _TLS_KEY_LOG, len(key_log)) + _padded(key_log)
    return _block(_DECRYPTION_SECRETS, body)
