"""What else a call can be: its metadata, its status, who ends it and when, and its second try."""

import json
import queue
import threading
from collections.abc import Iterator

import grpc
import pytest

from mitm import events
from tests.proxy.stage import LIMIT
from tests.transparency.play import (
    Options,
    Play,
    client_streaming,
    duplex,
    path,
    server_streaming,
    unary,
)

Context = grpc.ServicerContext
Metadata = tuple[tuple[str, str | bytes], ...]


def plain(metadata: object) -> Metadata:
    """Metadata as pairs, without what grpcio adds."""
    return tuple(
        (name, value)
        for name, value in metadata  # type: ignore[attr-defined]
        if name != "user-agent"
    )


# Metadata

METADATA: dict[str, Metadata] = {
    "printable": (("x-all", "".join(map(chr, range(0x21, 0x7F)))),),
    "spaces-within": (("x-words", "a  b , c;d"),),
    "empty": (("x-empty", ""), ("x-empty-bin", b"")),
    "binary": (("x-all-bin", bytes(range(256))), ("x-zeros-bin", bytes(100))),
    "many-of-a-key": tuple(("x-many", str(number)) for number in range(100)),
    "many-keys": tuple((f"x-{number}", "value") for number in range(100)),
    "8-KiB": (("x-long", "v" * 8_192),),
    "16-KiB": (("x-long", "v" * 16_384), ("x-long-bin", bytes(range(256)) * 8)),
    "odd-name": (("0-9.a_z", "value"),),
}

# By default the C core begins to refuse at 8 KiB, and refuses all above 16 KiB.
ROOM = 64 * 1024
ROOMY: Options = (
    ("grpc.max_metadata_size", ROOM),
    ("grpc.absolute_max_metadata_size", ROOM),
)


@pytest.mark.parametrize("metadata", METADATA.values(), ids=list(METADATA))
def test_metadata_arrives_as_it_was_sent(play: Play, metadata: Metadata) -> None:
    received: list[Metadata] = []

    def answer(request: bytes, context: Context) -> bytes:
        received.append(plain(context.invocation_metadata()))
        context.send_initial_metadata(metadata)
        context.set_trailing_metadata(metadata)
        return b""

    with play({"UnaryCall": unary(answer)}, options=ROOMY) as p:
        call = p.channel(ROOMY).unary_unary(path("UnaryCall"))
        # Twice: what is in the table of HPACK the second time.
        for _ in range(2):
            _, done = call.with_call(b"", timeout=LIMIT, metadata=metadata)
            assert plain(done.initial_metadata()) == metadata
            assert plain(done.trailing_metadata()) == metadata
    assert received == [metadata, metadata]
    if p.intercepted:
        blocks = p.seen.all(events.Headers)
        kinds = ["request", "response", "trailers"]
        assert [block.kind for block in blocks] == kinds * 2
        text = [pair for pair in metadata if isinstance(pair[1], str)]
        for block in blocks:
            assert [pair for pair in block.headers if pair in text] == text


@pytest.mark.parametrize("roomy", [False, True], ids=["refused", "taken"])
def test_metadata_beyond_what_the_server_takes_is_refused(play: Play, roomy: bool) -> None:
    reached = threading.Event()

    def answer(request: bytes, context: Context) -> bytes:
        reached.set()
        return b""

    metadata = (("x-long", "v" * 40_000),)
    with play({"UnaryCall": unary(answer)}, options=ROOMY if roomy else ()) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        if roomy:
            call(b"", timeout=LIMIT, metadata=metadata)
        else:
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=LIMIT, metadata=metadata)
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reached.is_set() is roomy


@pytest.mark.parametrize("roomy", [False, True], ids=["refused", "taken"])
def test_metadata_beyond_what_the_client_takes_is_refused(play: Play, roomy: bool) -> None:
    def answer(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata((("x-long", "v" * 40_000),))
        return b""

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel(ROOMY if roomy else ()).unary_unary(path("UnaryCall"))
        if roomy:
            call(b"", timeout=LIMIT)
        else:
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=LIMIT)
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


# Status


def test_every_status_arrives_with_its_message_and_details(play: Play) -> None:
    codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    details = b"\x08\x05\x12\x09not there"  # a google.rpc.Status

    def refuse(request: bytes, context: Context) -> bytes:
        code = codes[int(request)]
        context.set_trailing_metadata((("grpc-status-details-bin", details), ("x-why", "because")))
        context.abort(code, f"100 % {code.name}")

    with play({"UnaryCall": unary(refuse)}) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        for number, code in enumerate(codes):
            with pytest.raises(grpc.RpcError) as error:
                call(b"%d" % number, timeout=LIMIT)
            assert error.value.code() == code
            assert error.value.details() == f"100 % {code.name}"
            trailing = plain(error.value.trailing_metadata())
            assert ("grpc-status-details-bin", details) in trailing
            assert ("x-why", "because") in trailing
    if p.intercepted:
        assert [end["grpc-status"] for end in p.trailers()] == [str(c.value[0]) for c in codes]
        for end in p.seen.all(events.Headers, direction="server"):
            assert end.kind == "trailers-only"
            assert end.details == {"code": 5, "message": "not there", "details": []}


def test_a_status_after_messages_is_in_the_trailers(play: Play) -> None:
    def answer(request: bytes, context: Context) -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        context.abort(grpc.StatusCode.ABORTED, "half way")

    with play({"StreamingOutputCall": server_streaming(answer)}) as p:
        responses = p.channel().unary_stream(path("StreamingOutputCall"))(b"", timeout=LIMIT)
        assert [next(responses), next(responses)] == [b"one", b"two"]
        with pytest.raises(grpc.RpcError):
            next(responses)
        assert (responses.code(), responses.details()) == (grpc.StatusCode.ABORTED, "half way")
    p.saw(client=[0], server=[3, 3])
    if p.intercepted:
        kinds = [block.kind for block in p.seen.all(events.Headers, direction="server")]
        assert kinds == ["response", "trailers"]


def test_a_message_beyond_what_the_server_takes_is_refused(play: Play) -> None:
    limited: Options = (("grpc.max_receive_message_length", 1_000),)
    with play({"UnaryCall": unary(lambda request, context: request)}, options=limited) as p:
        call = p.channel().unary_unary(path("UnaryCall"))
        assert call(bytes(1_000), timeout=LIMIT) == bytes(1_000)
        with pytest.raises(grpc.RpcError) as error:
            call(bytes(1_001), timeout=LIMIT)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        # The connection is as good as before.
        assert call(b"", timeout=LIMIT) == b""
    if p.intercepted:
        assert len(p.seen.all(events.Connected)) == 1


# Who ends a call, and when


def test_a_server_may_cancel(play: Play) -> None:
    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield next(requests)
        context.cancel()
        yield b"not sent"

    with play({"FullDuplexCall": duplex(answer)}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        requests.put(b"asked")
        call = p.channel().stream_stream(path("FullDuplexCall"))
        responses = call(iter(requests.get, None), timeout=LIMIT)
        assert next(responses) == b"asked"
        with pytest.raises(grpc.RpcError):
            next(responses)
        assert responses.code() == grpc.StatusCode.CANCELLED
        requests.put(None)
    p.saw(client=[5], server=[5])


def test_a_server_may_answer_before_the_client_has_ended(play: Play) -> None:
    with play({"StreamingInputCall": client_streaming(lambda requests, _: next(requests))}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        requests.put(b"the first is enough")
        call = p.channel().stream_unary(path("StreamingInputCall"))
        # The client has more to say, and is still asked for it.
        assert call(iter(requests.get, None), timeout=LIMIT) == b"the first is enough"
        requests.put(None)
    p.saw(client=[19], server=[19])


def test_a_server_may_answer_before_it_was_asked_anything(play: Play) -> None:
    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield b"hello"
        yield from requests

    with play({"FullDuplexCall": duplex(answer)}) as p:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = p.channel().stream_stream(path("FullDuplexCall"))
        responses = call(iter(requests.get, None), timeout=LIMIT)
        assert next(responses) == b"hello"
        requests.put(b"and you")
        assert next(responses) == b"and you"
        requests.put(None)
        assert list(responses) == []
    p.saw(client=[7], server=[5, 7])


def test_a_client_may_end_before_it_is_answered(play: Play) -> None:
    """It has said all there is to say, and is answered at length."""

    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        assert list(requests) == [b"question"]
        for _ in range(50):
            yield bytes(1_000)

    with play({"FullDuplexCall": duplex(answer)}) as p:
        call = p.channel().stream_stream(path("FullDuplexCall"))
        assert list(call(iter((b"question",)), timeout=LIMIT)) == [bytes(1_000)] * 50
    p.saw(client=[8], server=[1_000] * 50)


# The second try

RETRY: Options = (
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.01s",
                            "maxBackoff": "0.02s",
                            "backoffMultiplier": 1,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        ),
    ),
)


@pytest.mark.parametrize(
    ("code", "tries"),
    [(grpc.StatusCode.UNAVAILABLE, 3), (grpc.StatusCode.INTERNAL, 1)],
    ids=["retryable", "final"],
)
def test_a_call_is_tried_again_as_its_service_config_says(
    play: Play, code: grpc.StatusCode, tries: int
) -> None:
    before: list[str | bytes] = []

    def answer(request: bytes, context: Context) -> bytes:
        metadata = dict(context.invocation_metadata())
        before.append(metadata.get("grpc-previous-rpc-attempts", "0"))
        if len(before) < 3:
            context.abort(code, "not yet")
        return b"at last"

    with play({"UnaryCall": unary(answer)}) as p:
        call = p.channel(RETRY).unary_unary(path("UnaryCall"))
        if tries == 1:
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=LIMIT)
            assert error.value.code() == code
        else:
            assert call(b"", timeout=LIMIT) == b"at last"
    assert before == ["0", "1", "2"][:tries]
    p.saw(client=[0] * tries, server=[7] * (tries > 1))
