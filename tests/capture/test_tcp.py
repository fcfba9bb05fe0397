"""The packets made up around a connection's bytes are what TCP would have made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.address import Address
from mitm.capture import pcapng
from mitm.capture.tcp import SEGMENT_LIMIT, TcpConnection
from mitm.events import Direction
from tests.capture.wireshark import Capture, read_pcapng

HOSTS = ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7", "fe80::1%eth0"]


def _capture(packets: list[bytes]) -> Capture:
    header = pcapng.section_header("a test") + pcapng.interface("one", "of a test")
    return read_pcapng(header + b"".join(pcapng.packet(0, 1, packet) for packet in packets))


_steps = st.lists(
    st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=70)), max_size=12
)


@pytest.mark.parametrize("host", HOSTS)
@given(steps=_steps, ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)))
def test_what_was_sent_is_what_the_packets_say(
    host: str, steps: list[tuple[Direction, bytes]], ports: tuple[int, int]
) -> None:
    tcp = TcpConnection(Address(host, ports[0]), Address(host, ports[1]))
    packets = list(tcp.handshake())
    for sender, data in steps:
        packets += tcp.data(sender, data)
    packets += tcp.end("client", reset=False)
    packets += tcp.end("server", reset=False)
    capture = _capture(packets)
    plain = host.partition("%")[0]
    if ports[0] != ports[1]:
        streams = capture.streams()
        client, server = ((plain, port) for port in ports)
        assert streams[client, server] == b"".join(d for by, d in steps if by == "client")
        assert streams[server, client] == b"".join(d for by, d in steps if by == "server")
    assert [p.flags for p in capture.packets[:3]] == ["S", "SA", "A"]
    assert [p.flags for p in capture.packets[-2:]] == ["FA", "FA"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [SEGMENT_LIMIT - 1, SEGMENT_LIMIT, SEGMENT_LIMIT + 1, 1_000_000])
def test_many_bytes_are_cut_into_packets_that_can_say_their_length(host: str, size: int) -> None:
    tcp = TcpConnection(Address(host, 1), Address(host, 2))
    data = bytes(i % 251 for i in range(size))
    capture = _capture([*tcp.handshake(), *tcp.data("client", data)])
    assert capture.streams()[(host, 1), (host, 2)] == data
    assert len(capture.packets) == 3 + -(-size // SEGMENT_LIMIT)


@pytest.mark.parametrize("data", [b"\xff\xff", b"\0\0", b"\xff" * 1001, bytes(1001), b"\1"])
def test_checksums_are_right_at_the_edges_of_the_arithmetic(data: bytes) -> None:
    tcp = TcpConnection(Address("255.255.255.255", 65535), Address("255.255.0.0", 0))
    capture = _capture([*tcp.handshake(), *tcp.data("client", data)])
    assert capture.packets[-1].data == data


def test_a_reset_ends_both_directions() -> None:
    tcp = TcpConnection(Address("127.0.0.1", 1), Address("127.0.0.1", 2))
    packets = [*tcp.handshake(), *tcp.end("server", reset=True)]
    assert _capture(packets).packets[-1].flags == "RA"
    assert not list(tcp.end("client", reset=False))
    assert not list(tcp.end("client", reset=True))
    assert not list(tcp.data("client", b"late"))


def test_a_direction_ends_once_and_leaves_the_other_open() -> None:
    tcp = TcpConnection(Address("127.0.0.1", 1), Address("127.0.0.1", 2))
    packets = [*tcp.handshake(), *tcp.end("client", reset=False)]
    assert not list(tcp.end("client", reset=False))
    assert not list(tcp.data("client", b"late"))
    packets += tcp.data("server", b"still here")
    packets += tcp.end("client", reset=True)
    assert [p.flags for p in _capture(packets).packets[3:]] == ["FA", "PA", "RA"]


def test_a_connection_from_the_same_port_is_another_one() -> None:
    def first() -> int:
        tcp = TcpConnection(Address("127.0.0.1", 1), Address("127.0.0.1", 2))
        return _capture(list(tcp.handshake())).packets[0].sequence

    assert len({first() for _ in range(8)}) > 1
