"""The gRPC project's interoperability test cases, on every way from client to server.

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md says what each is about.
Its server is asked by fields of a .proto to answer one way or another; here the method of the test
does so by itself. docs/transparency.md lists the cases that are not here, and why.
"""

import queue
import threading
from collections.abc import Iterator

import grpc
import pytest

from mitm import events
from tests.proxy.stage import LIMIT, rounded_up
from tests.transparency.play import (
    Play,
    client_streaming,
    duplex,
    path,
    server_streaming,
    total,
    unary,
)

Context = grpc.ServicerContext

REQUEST = bytes(271_828)
RESPONSE = bytes(314_159)

# The sizes of the streams of requests, and of responses.
ASKED = (27_182, 8, 1_828, 45_904)
ANSWERED = (31_415, 9, 2_653, 58_979)

compressions = pytest.mark.parametrize(
    "compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=["gzip", "deflate"]
)


def sum_up(requests: Iterator[bytes], context: Context) -> bytes:
    return str(total(requests)).encode()


def stream(request: bytes, context: Context) -> Iterator[bytes]:
    for size in ANSWERED:
        yield bytes(size)


def answer_each(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
    for _, size in zip(requests, ANSWERED, strict=False):
        yield bytes(size)


def test_empty_unary(play: Play) -> None:
    with play({"EmptyCall": unary(lambda request, context: request)}) as p:
        assert p.channel().unary_unary(path("EmptyCall"))(b"", timeout=LIMIT) == b""
    p.saw(client=[0], server=[0])


def test_large_unary(play: Play) -> None:
    asked = []

    def answer(request: bytes, context: Context) -> bytes:
        asked.append(request)
        return RESPONSE

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        assert call(REQUEST, timeout=LIMIT) == RESPONSE
    assert asked == [REQUEST]
    p.saw(client=[len(REQUEST)], server=[len(RESPONSE)])


@compressions
def test_client_compressed_unary(play: Play, compression: grpc.Compression) -> None:
    asked = []

    def answer(request: bytes, context: Context) -> bytes:
        asked.append(request)
        return RESPONSE

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        assert call(REQUEST, timeout=LIMIT, compression=compression) == RESPONSE
        assert call(REQUEST, timeout=LIMIT) == RESPONSE
    assert asked == [REQUEST, REQUEST]
    if p.intercepted:
        first, second = p.seen.all(events.Message, direction="client")
        assert (first.compressed, second.compressed) == (True, False)
        # Zeros are compressed to a hundredth at least.
        assert 0 < first.size < len(REQUEST) / 100
        assert second.size == len(REQUEST)
        assert p.sizes("server") == [len(RESPONSE)] * 2


@compressions
def test_server_compressed_unary(play: Play, compression: grpc.Compression) -> None:
    def answer(request: bytes, context: Context) -> bytes:
        if request == b"compressed":
            context.set_compression(compression)
        return RESPONSE

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        for request in (b"compressed", b"as it is"):
            assert call(request, timeout=LIMIT) == RESPONSE
    if p.intercepted:
        first, second = p.seen.all(events.Message, direction="server")
        assert (first.compressed, second.compressed) == (True, False)
        assert second.size == len(RESPONSE)


def test_client_streaming(play: Play) -> None:
    with play({"StreamingInputCall": client_streaming(sum_up)}) as p:
        call = p.channel().stream_unary(path("StreamingInputCall"))
        assert call((bytes(size) for size in ASKED), timeout=LIMIT) == b"74922"
    p.saw(client=ASKED, server=[5])


@compressions
def test_client_compressed_streaming(play: Play, compression: grpc.Compression) -> None:
    sizes = (27_182, 45_904)
    with play({"StreamingInputCall": client_streaming(sum_up)}) as p:
        call = p.channel().stream_unary(path("StreamingInputCall"))
        requests = (bytes(size) for size in sizes)
        assert call(requests, timeout=LIMIT, compression=compression) == b"73086"
    if p.intercepted:
        seen = p.seen.all(events.Message, direction="client")
        assert [message.compressed for message in seen] == [True, True]


def test_server_streaming(play: Play) -> None:
    with play({"StreamingOutputCall": server_streaming(stream)}) as p:
        call = p.channel().unary_stream(path("StreamingOutputCall"))
        assert [len(response) for response in call(b"", timeout=LIMIT)] == list(ANSWERED)
    p.saw(client=[0], server=ANSWERED)


@compressions
def test_server_compressed_streaming(play: Play, compression: grpc.Compression) -> None:
    def answer(request: bytes, context: Context) -> Iterator[bytes]:
        context.set_compression(compression)
        yield bytes(31_415)
        context.disable_next_message_compression()
        yield bytes(92_653)

    with play({"StreamingOutputCall": server_streaming(answer)}) as p:
        call = p.channel().unary_stream(path("StreamingOutputCall"))
        assert list(call(b"", timeout=LIMIT)) == [bytes(31_415), bytes(92_653)]
    if p.intercepted:
        first, second = p.seen.all(events.Message, direction="server")
        assert (first.compressed, second.compressed) == (True, False)
        assert second.size == 92_653


def test_ping_pong(play: Play) -> None:
    """Nothing is sent before what was sent last has been answered."""
    with play({"FullDuplexCall": duplex(answer_each)}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = p.channel().stream_stream(path("FullDuplexCall"))
        responses = call(iter(requests.get, None), timeout=LIMIT)
        for asked, answered in zip(ASKED, ANSWERED, strict=True):
            requests.put(bytes(asked))
            assert next(responses) == bytes(answered)
        requests.put(None)
        assert list(responses) == []
        assert responses.code() == grpc.StatusCode.OK
    p.saw(client=ASKED, server=ANSWERED)


def test_empty_stream(play: Play) -> None:
    with play({"FullDuplexCall": duplex(answer_each)}) as p:
        responses = p.channel().stream_stream(path("FullDuplexCall"))(iter(()), timeout=LIMIT)
        assert list(responses) == []
        assert responses.code() == grpc.StatusCode.OK
    p.saw(client=[], server=[])


def test_per_rpc_creds(play: Play) -> None:
    """A token, which credentials of the call add; grpcio does so on TLS alone."""

    def answer(request: bytes, context: Context) -> bytes:
        return str(dict(context.invocation_metadata())["authorization"]).encode()

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        token = grpc.access_token_call_credentials("demo")
        if p.tls:
            assert call(b"", timeout=LIMIT, credentials=token) == b"Bearer demo"
        else:
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=LIMIT, credentials=token)
            assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


def echo_metadata(context: Context) -> None:
    sent = dict(context.invocation_metadata())
    initial, trailing = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
    context.send_initial_metadata(((initial, sent[initial]),))
    context.set_trailing_metadata(((trailing, sent[trailing]),))


def test_custom_metadata(play: Play) -> None:
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")

    def answer(request: bytes, context: Context) -> bytes:
        echo_metadata(context)
        return RESPONSE

    def answer_stream(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        echo_metadata(context)
        for _ in requests:
            yield RESPONSE

    with play({"UnaryCall": unary(answer), "FullDuplexCall": duplex(answer_stream)}) as p:
        channel, metadata = p.channel(), (initial, trailing)
        response, done = channel.unary_unary(path("UnaryCall")).with_call(
            REQUEST, timeout=LIMIT, metadata=metadata
        )
        assert response == RESPONSE
        responses = channel.stream_stream(path("FullDuplexCall"))(
            iter((REQUEST,)), timeout=LIMIT, metadata=metadata
        )
        assert list(responses) == [RESPONSE]
        for call in (done, responses):
            assert initial in [tuple(each) for each in call.initial_metadata()]
            assert trailing in [tuple(each) for each in call.trailing_metadata()]
    p.saw(client=[len(REQUEST)] * 2, server=[len(RESPONSE)] * 2)
    if p.intercepted:
        for block in p.seen.all(events.Headers, kind="request"):
            assert initial in block.headers
            assert ("x-grpc-test-echo-trailing-bin", "q6ur") in block.headers


def status_of(play: Play, code: grpc.StatusCode, message: str) -> list[str]:
    """End a unary call and a stream with a status, and give how its message was sent."""

    def refuse(request: object, context: Context) -> bytes:
        context.abort(code, message)

    def refuse_stream(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.abort(code, message)
        yield b""

    with play({"UnaryCall": unary(refuse), "FullDuplexCall": duplex(refuse_stream)}) as p:
        channel = p.channel()
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(path("UnaryCall"))(b"", timeout=LIMIT)
        assert (error.value.code(), error.value.details()) == (code, message)
        responses = channel.stream_stream(path("FullDuplexCall"))(iter(()), timeout=LIMIT)
        with pytest.raises(grpc.RpcError):
            next(responses)
        assert (responses.code(), responses.details()) == (code, message)
    if p.intercepted:
        assert [end["grpc-status"] for end in p.trailers()] == [str(code.value[0])] * 2
    return [end["grpc-message"] for end in p.trailers()]


def test_status_code_and_message(play: Play) -> None:
    sent = status_of(play, grpc.StatusCode.UNKNOWN, "test status message")
    assert set(sent) <= {"test status message"}


def test_special_status_message(play: Play) -> None:
    """Whitespace and characters within and beyond the BMP, which are sent percent-encoded."""
    message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    sent = status_of(play, grpc.StatusCode.UNKNOWN, message)
    encoded = (
        "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A"
    )
    assert set(sent) <= {encoded}


def test_unimplemented_method(play: Play) -> None:
    with play({}) as p, pytest.raises(grpc.RpcError) as error:
        p.channel().unary_unary(path("UnimplementedCall"))(b"", timeout=LIMIT)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    if p.intercepted:
        assert [end["grpc-status"] for end in p.trailers()] == ["12"]


def test_unimplemented_service(play: Play) -> None:
    unknown = "/grpc.testing.UnimplementedService/UnimplementedCall"
    with play({}) as p, pytest.raises(grpc.RpcError) as error:
        p.channel().unary_unary(unknown)(b"", timeout=LIMIT)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_cancel_after_begin(play: Play) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def wait(requests: Iterator[bytes], context: Context) -> bytes:
        context.add_callback(cancelled.set)
        begun.set()
        assert cancelled.wait(LIMIT)
        return b""

    with play({"StreamingInputCall": client_streaming(wait)}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = p.channel().stream_unary(path("StreamingInputCall"))
        future = call.future(iter(requests.get, None), timeout=LIMIT)
        assert begun.wait(LIMIT)
        future.cancel()
        assert future.code() == grpc.StatusCode.CANCELLED
        # The server learns of it.
        assert cancelled.wait(LIMIT)
        requests.put(None)
    p.saw(client=[], server=[])
    if p.intercepted:
        assert [frame.detail for frame in p.frames("client", "RST_STREAM")] == ["CANCEL"]


def test_cancel_after_first_response(play: Play) -> None:
    cancelled = threading.Event()

    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.add_callback(cancelled.set)
        yield from answer_each(requests, context)

    with play({"FullDuplexCall": duplex(answer)}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        requests.put(bytes(ASKED[0]))
        call = p.channel().stream_stream(path("FullDuplexCall"))
        responses = call(iter(requests.get, None), timeout=LIMIT)
        assert next(responses) == bytes(ANSWERED[0])
        responses.cancel()
        assert responses.code() == grpc.StatusCode.CANCELLED
        assert cancelled.wait(LIMIT)
        requests.put(None)
    p.saw(client=ASKED[:1], server=ANSWERED[:1])
    if p.intercepted:
        assert [frame.detail for frame in p.frames("client", "RST_STREAM")] == ["CANCEL"]


def test_timeout_on_sleeping_server(play: Play) -> None:
    """The server never answers; both sides learn that the time is over."""
    reached, over = threading.Event(), threading.Event()
    left: list[float] = []

    def sleep(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        if not (remaining := context.time_remaining()):
            return
        left.append(remaining)
        context.add_callback(over.set)
        reached.set()
        assert over.wait(LIMIT)
        yield b""

    with play({"FullDuplexCall": duplex(sleep)}) as p:
        call = p.channel().stream_stream(path("FullDuplexCall"))
        # On a busy machine the time may be over before the server has been reached.
        for timeout in (0.1, 1.0, 10.0):
            responses = call(iter((bytes(27_182),)), timeout=timeout)
            with pytest.raises(grpc.RpcError):
                next(responses)
            assert responses.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            if reached.is_set():
                break
        assert over.wait(LIMIT)
        assert 0 < left[0] <= rounded_up(timeout)


def test_concurrent_large_unary(play: Play) -> None:
    """As many as are affordable; test_many.py has the thousand calls at once."""
    with play({"UnaryCall": unary(lambda request, context: RESPONSE)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        futures = [call.future(REQUEST, timeout=LIMIT) for _ in range(20)]
        assert {future.result() for future in futures} == {RESPONSE}
    p.saw(client=[len(REQUEST)] * 20, server=[len(RESPONSE)] * 20)


def test_rpc_soak(play: Play) -> None:
    """One call after the other on one channel, which keeps its connection."""
    with play({"UnaryCall": unary(lambda request, context: request)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        for number in range(100):
            request = b"%d" % number
            assert call(request, timeout=LIMIT) == request
    sizes = [len(b"%d" % number) for number in range(100)]
    p.saw(client=sizes, server=sizes)
    if p.intercepted:
        assert len(p.seen.all(events.Connected)) == 1


def test_channel_soak(play: Play) -> None:
    """One channel after the other, each for one call."""
    with play({"UnaryCall": unary(lambda request, context: request)}) as p:
        for _ in range(10):
            with p.channel() as channel:
                assert channel.unary_unary(path("UnaryCall"))(b"soak", timeout=LIMIT) == b"soak"
    p.saw(client=[4] * 10, server=[4] * 10)
    if p.intercepted:
        assert len(p.seen.all(events.Connected)) == 10
        assert all(end.phase == "established" for end in p.seen.all(events.Closed))
