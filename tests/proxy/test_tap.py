"""What a tap is shown is what passed on the sockets, and opens what was encrypted."""

import asyncio
import re
import ssl
from pathlib import Path

import pytest

from mitm import events
from mitm.address import Address
from mitm.capture import Recorder
from mitm.capture.recorder import MAX_HELD, Flow
from mitm.proxy import Interceptor, stream
from tests.capture.wireshark import Capture, decrypted, needs_tshark, read_pcapng, tshark
from tests.proxy.stage import (
    PREFACE,
    VERSIONS,
    Ends,
    LoopFactory,
    Props,
    Seen,
    Stage,
    a_hello,
    a_server,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)

CLIENT_SIDE, SERVER_SIDE = "client-attacker", "attacker-server"


@pytest.fixture
def pcap(tmp_path: Path) -> Path:
    return tmp_path / "a.pcapng"


def _read(pcap: Path) -> Capture:
    return read_pcapng(pcap.read_bytes())


def _sent(capture: Capture, interface: str, *, by_client: bool) -> list[bytes]:
    """The stream of each connection on an interface, of one of its ends, in order."""
    dialled = [p for p in capture.packets if p.flags == "S" and p.interface == interface]
    ways = [(p.source, p.target) if by_client else (p.target, p.source) for p in dialled]
    return [capture.streams()[way] for way in ways]


def test_plaintext_is_there_byte_by_byte_on_both_sides(
    props: Props, pcap: Path, loop: LoopFactory
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect_plaintext()
            await server.send(b"from the server")
            assert await client.read_exactly(15) == b"from the server"
            await client.finish()
            assert await server.read() == b""
            await server.finish()
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder), loop)
    recorder.close()
    capture = _read(pcap)
    for interface in (CLIENT_SIDE, SERVER_SIDE):
        assert _sent(capture, interface, by_client=True) == [PREFACE]
        assert _sent(capture, interface, by_client=False) == [b"from the server"]
        ends = [p.flags for p in capture.packets if p.interface == interface and "F" in p.flags]
        assert ends == ["FA", "FA"]
    assert capture.secrets == []


def test_the_addresses_are_those_of_the_sockets(props: Props, pcap: Path) -> None:
    addresses = []

    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect_plaintext()
            for end in (client, server):
                socket = end.writer.transport.get_extra_info("socket")
                addresses.append((socket.getsockname(), socket.getpeername()))

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    (near, far) = (p for p in _read(pcap).packets if p.flags == "S")
    assert (near.source, near.target) == addresses[0]
    assert (far.target, far.source) == addresses[1]


def test_ipv6_is_captured_as_ipv6(props: Props, pcap: Path) -> None:
    async def main(recorder: Recorder) -> None:
        seen = Seen()
        async with (
            Ends() as ends,
            a_server(ends) as server,
            Interceptor(
                upstream=server.address,
                choose=presenting(props.forged),
                listen=Address("::1", 0),
                on_event=seen,
                tap=recorder,
            ) as interceptor,
        ):
            client = await ends.dial(interceptor.address)
            await client.send(PREFACE)
            assert await (await server.accept()).read_exactly(len(PREFACE)) == PREFACE

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    capture = _read(pcap)
    assert {p.source[0] for p in capture.packets if p.interface == CLIENT_SIDE} == {"::1"}
    assert {p.source[0] for p in capture.packets if p.interface == SERVER_SIDE} == {"127.0.0.1"}
    assert _sent(capture, CLIENT_SIDE, by_client=True) == [PREFACE]


@pytest.mark.parametrize("by_client", [True, False])
def test_a_reset_is_a_reset_on_both_sides(
    props: Props, pcap: Path, loop: LoopFactory, by_client: bool
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect_plaintext()
            (client if by_client else server).reset()
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder), loop)
    recorder.close()
    capture = _read(pcap)
    for interface in (CLIENT_SIDE, SERVER_SIDE):
        dialled = next(p for p in capture.packets if p.flags == "S" and p.interface == interface)
        (reset,) = (p for p in capture.packets if "R" in p.flags and p.interface == interface)
        assert (reset.source == dialled.source) == by_client


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_sent_is_in_the_file_before_the_next_thing_happens(
    props: Props, pcap: Path, version: str
) -> None:
    """A stream that never ends is captured as it passes: whole blocks, at any time."""

    async def main(recorder: Recorder) -> None:
        assert _read(pcap).packets == []
        async with a_stage(props, tap=recorder) as stage:
            tls = VERSIONS[version]
            client, server = await stage.connect(
                client_context(version=tls), server_context(props.genuine, version=tls)
            )
            for number in range(3):
                before = len(_read(pcap).packets)
                message = b"message %d" % number
                await client.send(message)
                assert await server.read_exactly(len(message)) == message
                assert len(_read(pcap).packets) == before + 2

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()


@needs_tshark
@pytest.mark.parametrize("version", VERSIONS)
def test_wireshark_decrypts_both_sides_with_nothing_configured(
    props: Props, pcap: Path, version: str
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            tls = VERSIONS[version]
            client, server = await stage.connect(
                client_context(version=tls), server_context(props.genuine, version=tls)
            )
            await client.send(b"from the client")
            await server.send(b"from the server")
            assert await server.read_exactly(15) == b"from the client"
            assert await client.read_exactly(15) == b"from the server"
            await client.finish()
            assert await server.read_all() == b""
            await server.finish()
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    _assert_in_order(pcap)
    said = {"client": b"from the client", "server": b"from the server"}
    assert decrypted(pcap) == [said, said]
    fields = ("frame.interface_name", "tls.handshake.type", "tls.alert_message.desc")
    rows = tshark(pcap, "tls.handshake || tls.alert_message", *fields)
    for side in (CLIENT_SIDE, SERVER_SIDE):
        # ClientHello, ServerHello, Certificate, Finished: in TLS 1.3 the last two are encrypted.
        kinds = {kind for name, row, _ in rows if name == side for kind in row.split(",")}
        assert {"1", "2", "11", "20"} <= kinds
        assert {alert for name, _, alert in rows if name == side and alert} == {"0"}  # close_notify


# The client's second flight is ClientKeyExchange, ChangeCipherSpec and Finished (RFC 5246 section
# 7.3). What is read at once is a packet.
SEGMENTS = {"of a few bytes": 7, "of a record or two": 48}


async def _a_call(stage: Stage, version: str) -> None:
    tls = VERSIONS[version]
    client, server = await stage.connect(
        client_context(version=tls), server_context(stage.props.genuine, version=tls)
    )
    await client.send(b"from the client")
    assert await server.read_exactly(15) == b"from the client"
    await server.send(b"from the server")
    assert await client.read_exactly(15) == b"from the server"
    await client.finish()
    await server.finish()
    await stage.seen.closed()


@needs_tshark
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", SEGMENTS.values(), ids=SEGMENTS)
def test_wireshark_decrypts_a_handshake_that_comes_in_pieces(
    props: Props, pcap: Path, version: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "READ_SIZE", size)

    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            await _a_call(stage, version)

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    said = {"client": b"from the client", "server": b"from the server"}
    assert decrypted(pcap) == [said, said]


@pytest.mark.parametrize("size", SEGMENTS.values(), ids=SEGMENTS)
def test_secrets_stand_before_the_records_that_they_open(
    props: Props, pcap: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without Wireshark: it sets up decryption where the cipher is changed."""
    monkeypatch.setattr(stream, "READ_SIZE", size)

    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            await _a_call(stage, "TLSv1.2")

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    data = pcap.read_bytes()
    secrets = [at.start() for at in re.finditer(b"CLIENT_RANDOM", data)]
    passed = [p for p in _read(pcap).packets if p.interface == CLIENT_SIDE and p.data]
    answer = next(p for p in passed if p.source != passed[0].source)
    second_flight = next(p for p in passed[passed.index(answer) :] if p.source == passed[0].source)
    assert len(secrets) == 2
    assert max(secrets) < data.index(second_flight.data, data.index(answer.data))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stop_within_a_handshake_loses_nothing_of_it(
    props: Props, pcap: Path, version: str
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client = await stage.dial()
            await client.send(a_hello(client_context(version=VERSIONS[version])))
            await stage.server.accept(server_context(props.genuine))
            await stage.seen.wait(events.CertificatePresented)
            assert await client.read()
            await client.send(b"\x16\x03\x03")

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    (said,) = _sent(_read(pcap), CLIENT_SIDE, by_client=True)
    (answered,) = _sent(_read(pcap), CLIENT_SIDE, by_client=False)
    assert said.startswith(b"\x16\x03\x01")
    assert answered.startswith(b"\x16\x03\x03")


def _flows(recorder: Recorder) -> list[Flow]:
    client = Address("127.0.0.1", 1)
    return [
        recorder.opened(Address("127.0.0.1", port), client, dialled=False) for port in (2, 3, 4)
    ]


def _contents(pcap: Path) -> list[bytes]:
    return [packet.data for packet in _read(pcap).packets if packet.data]


def test_what_waits_for_secrets_keeps_the_order_of_all(pcap: Path) -> None:
    recorder = Recorder(pcap, None)
    first, second, third = _flows(recorder)
    first.received(b"before")
    first.secrets_awaited()
    first.received(b"a")
    second.secrets_awaited()
    third.sent(b"b")
    second.sent(b"c")
    first.secrets_told()
    # What came before the other handshake began has come out, and no more.
    third.received(b"d")
    assert _contents(pcap) == [b"before", b"a"]
    second.secrets_told()
    assert _contents(pcap) == [b"before", b"a", b"b", b"c", b"d"]
    first.sent(b"after")
    assert _contents(pcap)[-1] == b"after"
    times = [packet.time for packet in _read(pcap).packets]
    assert times == sorted(times)
    recorder.close()


def test_what_waits_when_a_recorder_is_closed_is_written(pcap: Path) -> None:
    recorder = Recorder(pcap, None)
    flow, *_ = _flows(recorder)
    flow.secrets_awaited()
    flow.received(b"part of a handshake")
    flow.sent(b"part of another")
    recorder.close()
    assert _contents(pcap) == [b"part of a handshake", b"part of another"]


def test_a_handshake_without_end_is_not_waited_for_without_end(pcap: Path) -> None:
    recorder = Recorder(pcap, None)
    flow, other, _ = _flows(recorder)
    flow.secrets_awaited()
    for _ in range(MAX_HELD // 1024):
        other.received(bytes(1024))
    assert _contents(pcap) == []
    flow.received(b"too much")
    assert _contents(pcap)[-1] == b"too much"
    # It is not waited for again.
    other.sent(b"after it")
    assert _contents(pcap)[-1] == b"after it"
    flow.secrets_told()
    recorder.close()


@needs_tshark
@pytest.mark.parametrize("version", VERSIONS)
def test_wireshark_shows_the_alert_of_a_client_that_leaves(
    props: Props, pcap: Path, version: str
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            dialled = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            context = client_context(trust=props.lab_ca, version=VERSIONS[version])
            with pytest.raises(ssl.SSLCertVerificationError):
                await dialled.handshake(context, name="localhost")
            await accepting
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    where = f'tls.alert_message && frame.interface_name == "{CLIENT_SIDE}"'
    assert tshark(pcap, where, "tls.alert_message.desc") == [["48"]]  # unknown_ca
    (issued,) = tshark(
        pcap,
        f'tls.handshake.type == 11 && frame.interface_name == "{CLIENT_SIDE}"',
        "x509sat.uTF8String",
    )
    assert "Attacker CA" in issued[0]
    assert decrypted(pcap)[0] == {"client": b"", "server": b""}


@needs_tshark
def test_connections_at_once_and_messages_of_many_packets_stay_whole(
    props: Props, pcap: Path
) -> None:
    sent = [bytes([number]) * (1 + number * 80_000) for number in range(6)]

    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:

            async def echo() -> None:
                server = await stage.server.accept(server_context(props.genuine))
                await server.send(await server.read_all())
                await server.finish()

            async def call(data: bytes) -> None:
                client = await stage.dial()
                await client.handshake(client_context(), name="localhost")
                await client.send(data)
                await client.finish()
                assert await client.read_all() == data

            await asyncio.gather(*(call(data) for data in sent), *(echo() for _ in sent))

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    _assert_in_order(pcap)
    for interface in (CLIENT_SIDE, SERVER_SIDE):
        opened = decrypted(pcap, f'frame.interface_name == "{interface}"')
        assert sorted(each["client"] for each in opened) == sent
        assert all(each["client"] == each["server"] for each in opened)


def _assert_in_order(pcap: Path) -> None:
    """Wireshark agrees with every checksum, and finds no fault with any number or time."""
    checks = ("tcp.check_checksum:TRUE", "ip.check_checksum:TRUE")
    rows = tshark(pcap, "", "ip.checksum.status", "tcp.checksum.status", options=checks)
    assert {tuple(row) for row in rows} == {("1", "1")}
    assert tshark(pcap, "tcp.analysis.flags", "frame.number") == []
    times = [packet.time for packet in _read(pcap).packets]
    assert times == sorted(times)


@needs_tshark
def test_a_key_log_alone_opens_what_somebody_else_captured(
    props: Props, pcap: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "a.keys"

    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect()
            await client.send(b"from the client")
            assert await server.read_exactly(15) == b"from the client"
            assert len(keys.read_text().splitlines()) == 10  # five of TLS 1.3, on both sides

    recorder = Recorder(pcap, keys)
    run(main(recorder))
    recorder.close()
    # The same packets without the secrets among them.
    data, bare, at = pcap.read_bytes(), b"", 0
    while at < len(data):
        kind, length = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        bare += data[at : at + length] if kind != 10 else b""
        at += length
    pcap.write_bytes(bare)
    assert [each["client"] for each in decrypted(pcap)] == [b"", b""]
    opened = decrypted(pcap, options=(f"tls.keylog_file:{keys}",))
    assert [each["client"] for each in opened] == [b"from the client", b"from the client"]
    assert keys.stat().st_mode & 0o777 == 0o600


def test_a_client_that_is_gone_at_once_is_captured_all_the_same(props: Props, pcap: Path) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            (await stage.dial()).reset()
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    assert [p.flags for p in _read(pcap).packets] == ["S", "SA", "A", "RA"]


def test_a_server_that_cannot_be_reached_leaves_the_clients_side(props: Props, pcap: Path) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder, upstream=Address("127.0.0.1", 1)) as stage:
            client = await stage.dial()
            await client.send(a_hello())
            await stage.seen.closed()

    recorder = Recorder(pcap, None)
    run(main(recorder))
    recorder.close()
    capture = _read(pcap)
    assert {p.interface for p in capture.packets} == {CLIENT_SIDE}
    assert _sent(capture, CLIENT_SIDE, by_client=True)[0].startswith(b"\x16\x03")


@pytest.mark.parametrize("full", ["pcap", "key log"])
def test_a_full_disk_costs_the_capture_and_not_the_connection(
    props: Props, pcap: Path, tmp_path: Path, full: str
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect()
            await client.send(b"all the same")
            assert await server.read_exactly(12) == b"all the same"

    nowhere = Path("/dev/full")
    recorder = Recorder(
        nowhere if full == "pcap" else pcap, nowhere if full == "key log" else tmp_path / "a.keys"
    )
    run(main(recorder))
    recorder.close()
    (loss,) = recorder.losses
    assert "could not be written to /dev/full: No space left on device" in loss
    if full == "pcap":
        assert (tmp_path / "a.keys").stat().st_size
    else:
        assert loss.startswith("10 TLS secrets ")
        assert len(_read(pcap).secrets) >= 2


def test_nothing_stays_open_when_all_is_over(props: Props, pcap: Path, tmp_path: Path) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            await stage.connect()

    def record() -> int:
        recorder = Recorder(pcap, tmp_path / "a.keys")
        run(main(recorder))
        recorder.close()
        return len(list(Path("/dev/fd").iterdir()))

    before = record()
    assert record() <= before
    assert record() <= before


def test_two_interceptors_one_after_the_other_keep_their_secrets_apart(
    props: Props, tmp_path: Path
) -> None:
    async def main(recorder: Recorder) -> None:
        async with a_stage(props, tap=recorder) as stage:
            client, server = await stage.connect()
            await client.send(b"a word")
            assert await server.read_exactly(6) == b"a word"

    logs = []
    for name in ("one", "two"):
        recorder = Recorder(None, tmp_path / name)
        run(main(recorder))
        recorder.close()
        logs.append(set((tmp_path / name).read_bytes().splitlines()))
    assert [len(log) for log in logs] == [10, 10]
    assert not logs[0] & logs[1]


@pytest.mark.parametrize("under_test", [True, False])
def test_of_hosts_that_are_not_under_test_nothing_is_captured(
    props: Props, pcap: Path, loop: LoopFactory, under_test: bool
) -> None:
    async def main(recorder: Recorder) -> None:
        async with (
            Ends() as ends,
            a_server(ends) as server,
            Interceptor(
                upstream=None,
                mode="connect",
                intercept=["127.0.0.1" if under_test else "localhost"],
                choose=presenting(props.forged),
                tap=recorder,
            ) as interceptor,
        ):
            client = await ends.dial(interceptor.address)
            await client.send(f"CONNECT {server.address} HTTP/1.1\r\n\r\n".encode())
            answered = b"HTTP/1.1 200"
            assert (await client.read()).startswith(answered)
            await client.send(PREFACE + b"in the clear")
            accepted = await server.accept()
            assert await accepted.read_exactly(len(PREFACE) + 12) == PREFACE + b"in the clear"

    recorder = Recorder(pcap, None)
    run(main(recorder), loop)
    recorder.close()
    capture = _read(pcap)
    if under_test:
        (sent,) = _sent(capture, CLIENT_SIDE, by_client=True)
        assert sent.startswith(b"CONNECT 127.0.0.1:")
        assert sent.endswith(b"in the clear")
        assert _sent(capture, SERVER_SIDE, by_client=True) == [PREFACE + b"in the clear"]
    else:
        assert capture.packets == []
