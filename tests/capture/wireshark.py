"""Readers of captures: one of our own that takes nothing on trust, and Wireshark's."""

import ipaddress
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed: apt install tshark"
)

LIMIT = 60  # seconds


def tshark(path: Path, where: str, *fields: str, options: tuple[str, ...] = ()) -> list[list[str]]:
    """Fields of the packets that a display filter lets through, as Wireshark reads them.

    Args:
        path: the capture.
        where: the filter; "" for all packets.
        fields: names of fields; several values in a packet are separated by commas.
        options: preferences, `tcp.check_checksum:TRUE`.
    """
    wanted = [word for field in fields for word in ("-e", field)]
    filters = ["-Y", where] if where else []
    output = _tshark(path, *filters, "-T", "fields", *wanted, options=options)
    return [line.split("\t") for line in output.splitlines()]


def decrypted(path: Path, where: str = "", options: tuple[str, ...] = ()) -> list[dict[str, bytes]]:
    """What Wireshark decrypts of each TLS connection, by who sent it.

    Args:
        path: the capture.
        where: a filter for the connections, by their first packet.
        options: preferences.
    """
    opened = tshark(
        path, "tcp.flags == 2" + (f" && ({where})" if where else ""), "tcp.stream", "tcp.srcport"
    )
    taps = [word for stream, _ in opened for word in ("-z", f"follow,tls,raw,{stream}")]
    # It tells of the last first.
    pieces = _tshark(path, "-q", *taps, options=options).split("Follow: tls,raw")[:0:-1]
    found = []
    for (_, port), piece in zip(opened, pieces, strict=True):
        node, _, *lines = piece.splitlines()[2:]
        # Node 0 is whoever said something first; lines of the other begin with a tab.
        first, other = ("client", "server") if node.endswith(f":{port}") else ("server", "client")
        sent = {"client": b"", "server": b""}
        for line in filter(lambda line: "=" not in line, lines):
            sent[other if line.startswith("\t") else first] += bytes.fromhex(line)
        found.append(sent)
    return found


def _tshark(path: Path, *arguments: str, options: tuple[str, ...]) -> str:
    preferences = [word for option in options for word in ("-o", option)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), *preferences, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Packet(NamedTuple):
    """A packet, taken apart.

    Attributes:
        time: nanoseconds since the epoch.
    """

    interface: str
    time: int
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: str
    data: bytes


class Capture(NamedTuple):
    """A capture file, read from front to back."""

    interfaces: list[str]
    packets: list[Packet]
    secrets: list[bytes]

    def streams(self) -> dict[tuple[tuple[str, int], tuple[str, int]], bytes]:
        """What each end has sent to which, put together by the numbers of TCP."""
        following: dict[tuple[tuple[str, int], tuple[str, int]], int] = {}
        sent: dict[tuple[tuple[str, int], tuple[str, int]], bytes] = {}
        for packet in self.packets:
            way = packet.source, packet.target
            if "S" in packet.flags:
                sent[way] = b""
            else:
                assert packet.sequence == following[way], packet
            counted = len(packet.data) + ("S" in packet.flags) + ("F" in packet.flags)
            following[way] = (packet.sequence + counted) % 2**32
            if "A" in packet.flags:
                assert packet.acknowledged == following[packet.target, packet.source], packet
            sent[way] += packet.data
        return sent


def read_pcapng(data: bytes) -> Capture:
    """Read a capture; anything that is not as it should be is an AssertionError."""
    interfaces: list[str] = []
    packets: list[Packet] = []
    secrets: list[bytes] = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert at + length <= len(data), "a block is cut"
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        body = data[at + 8 : at + length - 4]
        assert (kind == 0x0A0D0D0A) == (at == 0)
        match kind:
            case 0x0A0D0D0A:
                assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            case 1:
                assert struct.unpack_from("<HHI", body) == (101, 0, 0)
                options = _options(body[8:])
                assert options[9] == b"\x09"
                interfaces.append(options[2].decode())
            case 6:
                number, high, low, captured, original = struct.unpack_from("<IIIII", body)
                assert captured == original
                assert len(body) == 20 + captured + -captured % 4
                time = high << 32 | low
                ip = _take_apart(body[20 : 20 + captured])
                packets.append(Packet(interfaces[number], time, *ip))
            case 10:
                assert body[:4] == b"KSLT"
                (size,) = struct.unpack_from("<I", body, 4)
                assert len(body) == 8 + size + -size % 4
                secrets.append(body[8 : 8 + size])
            case _:
                raise AssertionError(f"a block of type {kind}")
        at += length
    return Capture(interfaces, packets, secrets)


def _options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        found[code] = data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]
        if not code:
            assert not data
    return found


def _take_apart(
    packet: bytes,
) -> tuple[tuple[str, int], tuple[str, int], int, int, str, bytes]:
    if packet[0] >> 4 == 4:
        assert packet[0] == 0x45
        assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
        assert packet[9] == 6
        assert _sum(packet[:20]) == 0xFFFF
        source, target, segment = packet[12:16], packet[16:20], packet[20:]
    else:
        assert packet[0] >> 4 == 6
        assert struct.unpack_from("!H", packet, 4)[0] == len(packet) - 40
        assert packet[6] == 6
        source, target, segment = packet[8:24], packet[24:40], packet[40:]
    assert _sum(source + target + struct.pack("!II", len(segment), 6) + segment) == 0xFFFF
    ports, sequence, acknowledged, offset, flags = (
        struct.unpack_from("!HH", segment),
        *struct.unpack_from("!IIBB", segment, 4),
    )
    return (
        (str(ipaddress.ip_address(source)), ports[0]),
        (str(ipaddress.ip_address(target)), ports[1]),
        sequence,
        acknowledged,
        "".join(name for bit, name in enumerate("FSRPAU") if flags >> bit & 1),
        segment[offset >> 4 << 2 :],
    )


def _sum(data: bytes) -> int:
    """The sum of 16-bit words with carries brought round, as RFC 1071 says it."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
