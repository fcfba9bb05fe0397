"""What becomes of connections: they are begun late, kept alive, used by many calls, and ended."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from mitm import events
from mitm.address import Address
from tests.proxy.stage import LIMIT, LOCALHOST, SETTINGS, Props
from tests.transparency.play import Options, Play, Watched, duplex, intercepting, path, unary

Context = grpc.ServicerContext

# A client that has been turned away tries again at once, in place of a second later.
IMPATIENT: Options = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
)


def echo(request: bytes, context: Context) -> bytes:
    return request


def peer(request: bytes, context: Context) -> bytes:
    """Tell clients apart by their connection."""
    return context.peer().encode()


# The server is not there


def test_wait_for_ready(play: Play) -> None:
    failed = threading.Event()

    def look(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            failed.set()

    with play({"UnaryCall": unary(echo)}, started=False) as p:
        channel = p.channel(IMPATIENT)
        channel.subscribe(look)
        call = channel.unary_unary(path("UnaryCall"))
        future = call.future(b"patience", timeout=LIMIT, wait_for_ready=True)
        assert failed.wait(LIMIT)
        assert not future.done()
        p.server.start()
        assert future.result() == b"patience"
        channel.unsubscribe(look)
    p.saw(client=[8], server=[8])
    if p.intercepted:
        assert p.seen.all(events.UpstreamFailed) != []
        assert p.seen.all(events.UpstreamConnected) != []


def test_without_wait_for_ready_a_call_fails_at_once(play: Play) -> None:
    with play({"UnaryCall": unary(echo)}, started=False) as p:
        with pytest.raises(grpc.RpcError) as error:
            p.channel(IMPATIENT).unary_unary(path("UnaryCall"))(b"", timeout=LIMIT)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    if p.intercepted:
        assert p.seen.all(events.ApplicationData, direction="server") == []


# The server goes


def test_graceful_shutdown_lets_calls_end_and_the_client_comes_back(play: Play) -> None:
    running, go_on = threading.Event(), threading.Event()

    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield b"begun"
        running.set()
        assert go_on.wait(LIMIT)
        yield b"ended"

    with play({"FullDuplexCall": duplex(answer), "UnaryCall": unary(echo)}) as p:
        channel = p.channel(IMPATIENT)
        responses = channel.stream_stream(path("FullDuplexCall"))(iter(()), timeout=LIMIT)
        assert next(responses) == b"begun"
        assert running.wait(LIMIT)
        stopped = p.server.stop(LIMIT)
        assert not stopped.is_set()
        go_on.set()
        assert list(responses) == [b"ended"]
        assert responses.code() == grpc.StatusCode.OK
        assert stopped.wait(LIMIT)
        p.server.start()
        call = channel.unary_unary(path("UnaryCall"))
        assert call(b"again", timeout=LIMIT, wait_for_ready=True) == b"again"
    p.saw(client=[5], server=[5, 5, 5])
    if p.intercepted:
        assert p.frames("server", "GOAWAY")[0].detail.startswith("NO_ERROR")
        served = {block.connection for block in p.seen.all(events.Headers, kind="request")}
        assert len(served) == 2


def test_shutdown_without_grace_cancels_calls(play: Play) -> None:
    over = threading.Event()

    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.add_callback(over.set)
        yield b"begun"
        assert over.wait(LIMIT)

    with play({"FullDuplexCall": duplex(answer)}) as p:
        call = p.channel().stream_stream(path("FullDuplexCall"))
        responses = call(iter(()), timeout=LIMIT)
        assert next(responses) == b"begun"
        assert p.server.stop().wait(LIMIT)
        with pytest.raises(grpc.RpcError):
            next(responses)
        assert responses.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert over.wait(LIMIT)
    p.saw(client=[], server=[5])


def test_max_connection_age_moves_calls_to_a_new_connection_and_fails_none(play: Play) -> None:
    with play({"Peer": unary(peer)}, options=(("grpc.max_connection_age_ms", 200),)) as p:
        call = p.channel(IMPATIENT).unary_unary(path("Peer"))
        calls, seen = 0, set[bytes]()
        while len(seen) < 3:
            seen.add(call(b"", timeout=LIMIT, wait_for_ready=True))
            calls += 1
    if p.intercepted:
        # A request that crosses the end of its connection may have been sent twice.
        assert len(p.sizes("client")) >= len(p.sizes("server")) == calls
        assert all(frame.detail.startswith("NO_ERROR") for frame in p.frames("server", "GOAWAY"))
        assert len(p.frames("server", "GOAWAY")) >= 2


# Pings

# A server that takes one ping in five minutes without calls in between, and that once, and a
# client that pings however little there is to say.
STRICT: Options = (
    ("grpc.http2.min_ping_interval_without_data_ms", 300_000),
    ("grpc.http2.max_ping_strikes", 1),
)
LENIENT: Options = (
    ("grpc.http2.min_ping_interval_without_data_ms", 10),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
)
PINGING: Options = (
    ("grpc.keepalive_time_ms", 50),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


class Waiting:
    """A method that does not answer before it is told to, or nobody waits for it any more."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def answer(self, requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.add_callback(self.over.set)
        assert self.over.wait(LIMIT)
        yield b"in the end"


def test_keepalive_pings_are_answered_and_too_many_are_the_servers_to_refuse(play: Play) -> None:
    patient, strict = Waiting(), Waiting()
    with (
        play({"Wait": duplex(patient.answer)}, options=LENIENT) as allowed,
        play({"Wait": duplex(strict.answer)}, options=STRICT) as refused,
    ):
        kept, ended = (
            p.channel(PINGING).stream_stream(path("Wait"))(iter(()), timeout=LIMIT)
            for p in (allowed, refused)
        )
        with pytest.raises(grpc.RpcError):
            next(ended)
        assert ended.code() == grpc.StatusCode.UNAVAILABLE
        assert "too many pings" in ended.details().lower().replace("_", " ")
        assert strict.over.wait(LIMIT)
        # As many pings have been sent to the other server.
        patient.over.set()
        assert list(kept) == [b"in the end"]
    if refused.intercepted:
        goaway = refused.frames("server", "GOAWAY")[-1]
        assert goaway.detail.startswith("ENHANCE_YOUR_CALM")
        assert "too_many_pings" in goaway.detail
        pings = [f.detail for f in allowed.frames("client", "PING") if "ACK" not in f.flags]
        acks = [f.detail for f in allowed.frames("server", "PING") if "ACK" in f.flags]
        assert len(acks) >= 2
        # Each is answered with what it said.
        assert acks == pings[: len(acks)]


SETTINGS_ACK = bytes.fromhex("000000040100000000")


def silent(listener: socket.socket) -> None:
    """A server that says what it must to begin with, and then no more, but reads."""
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(LIMIT)
        accepted.sendall(SETTINGS + SETTINGS_ACK)
        with contextlib.suppress(OSError):
            while accepted.recv(65_536):
                pass


@pytest.mark.parametrize("intercepted", [False, True], ids=["straight", "intercepted"])
def test_a_server_that_answers_no_ping_is_given_up(props: Props, intercepted: bool) -> None:
    seen = Watched()
    with socket.create_server(LOCALHOST) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(LIMIT)
        server = threading.Thread(target=silent, args=(listener,), daemon=True)
        server.start()
        address = Address(*listener.getsockname())
        if intercepted:
            address = stack.enter_context(intercepting(props, address, seen))
        options = (
            *PINGING,
            ("grpc.keepalive_timeout_ms", 200),
            ("grpc.http2.ping_timeout_ms", 200),
        )
        with grpc.insecure_channel(str(address), options) as channel:
            call: Any = channel.unary_unary(path("Wait"))
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=LIMIT)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "ping timeout" in str(error.value.details())
        # It learns of it, and need not wait for a client that is gone.
        server.join(LIMIT)
        assert not server.is_alive()
    if intercepted:
        assert seen.all(events.ParseFailed) == []
        assert len(seen.all(events.Frame, direction="client", type="PING")) >= 1
        assert seen.all(events.Frame, direction="server", type="PING") == []


# Many calls


def test_a_thousand_streams_at_once_on_one_connection(play: Play) -> None:
    everyone = 1_000
    together = threading.Barrier(everyone + 1)

    def wait(request: bytes, context: Context) -> bytes:
        together.wait(LIMIT)
        return request

    with play({"UnaryCall": unary(wait)}, threads=everyone) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        requests = [b"%04d" % number for number in range(everyone)]
        futures = [call.future(request, timeout=2 * LIMIT) for request in requests]
        # Nobody is answered before everybody is there.
        together.wait(LIMIT)
        assert [future.result() for future in futures] == requests
    p.saw(client=[4] * everyone, server=[4] * everyone)
    if p.intercepted:
        assert len(p.seen.all(events.Connected)) == 1
        streams = {block.stream for block in p.seen.all(events.Headers, kind="request")}
        assert len(streams) == everyone


def test_many_connections_at_once(play: Play) -> None:
    """Each client is on a connection of its own, and each connection is read by itself."""
    with play({"UnaryCall": unary(echo)}) as p:

        def use(number: int) -> None:
            call = p.channel().unary_unary(path("UnaryCall"))
            for _ in range(10):
                assert call(b"%d" % number, timeout=LIMIT) == b"%d" % number

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(8)))
    p.saw(client=[1] * 80, server=[1] * 80)
    if p.intercepted:
        assert len(p.seen.all(events.Connected)) == 8
