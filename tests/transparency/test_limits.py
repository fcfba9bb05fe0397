"""Where the interceptor stops to read, the connection goes on."""

import grpc
import pytest

from mitm import events
from mitm.wire.header_blocks import MAX_HEADER_LIST
from mitm.wire.http2 import MAX_HEADER_BLOCK, MAX_HEADER_TABLE
from tests.proxy.stage import LIMIT
from tests.transparency.play import Options, Play, path, unary

Context = grpc.ServicerContext

ROOM = 4 * MAX_HEADER_BLOCK
ROOMY: Options = (
    ("grpc.max_metadata_size", ROOM),
    ("grpc.absolute_max_metadata_size", ROOM),
)


def echo(request: bytes, context: Context) -> bytes:
    """The request, and the client's metadata."""
    sent = [(n, v) for n, v in context.invocation_metadata() if n.startswith("x-")]
    context.set_trailing_metadata(tuple(sent))
    return request


@pytest.mark.parametrize("size", [MAX_HEADER_LIST - 4_096, 2 * MAX_HEADER_BLOCK])
def test_metadata_passes_however_long_it_is(play: Play, size: int) -> None:
    """And is read up to a limit that lies above what gRPC allows by default."""
    metadata = (("x-long", "v" * size),)
    within = size < MAX_HEADER_LIST
    with play({"UnaryCall": unary(echo)}, options=ROOMY, followed=within) as p:
        call = p.channel(ROOMY).unary_unary(path("UnaryCall"))
        for _ in range(2):
            response, done = call.with_call(b"asked", timeout=LIMIT, metadata=metadata)
            assert response == b"asked"
            assert tuple(done.trailing_metadata()) == metadata
    if within:
        p.saw(client=[5, 5], server=[5, 5])
    elif p.intercepted:
        for failed in p.seen.all(events.ParseFailed):
            assert failed.stream
            assert str(MAX_HEADER_LIST) in failed.reason
        # All else of the calls is told.
        p.saw(client=[], server=[5, 5])
        assert [block.truncated for block in p.seen.all(events.Headers, kind="request")] == [
            True,
            True,
        ]


def of_table(size: int) -> Options:
    """What an end announces for HPACK's table, and uses of the other end's."""
    return (
        ("grpc.http2.hpack_table_size.decoder", size),
        ("grpc.http2.hpack_table_size.encoder", size),
    )


@pytest.mark.parametrize("size", [0, 64 * 1024, MAX_HEADER_TABLE])
def test_a_header_table_of_any_size_may_be_announced(play: Play, size: int) -> None:
    """The C core keeps no metadata of its users in it; test_bytes.py has a session that does."""
    options = (*ROOMY, *of_table(size))
    values = ["one" * 300, "two" * 300, "one" * 300]
    with play({"UnaryCall": unary(echo)}, options=options) as p:
        call = p.channel(options).unary_unary(path("UnaryCall"))
        for value in values:
            metadata = (("x-value", value),)
            _, done = call.with_call(b"", timeout=LIMIT, metadata=metadata)
            assert tuple(done.trailing_metadata()) == metadata
    if p.intercepted:
        for side in ("client", "server"):
            assert f"HEADER_TABLE_SIZE={size}" in p.frames(side, "SETTINGS")[0].detail
        requests = p.seen.all(events.Headers, kind="request")
        assert [dict(block.headers)["x-value"] for block in requests] == values
        assert [end["x-value"] for end in p.trailers()] == values
