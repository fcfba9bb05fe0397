"""The same with nghttp2, which uses of HTTP/2 what gRPC's own stacks leave alone.

Its server pads frames, and both sides keep long headers in large tables.
"""

import contextlib
import subprocess
from pathlib import Path

import pytest

from bench import tools
from mitm import events
from mitm.address import Address
from mitm.errors import UserError
from tests.proxy.stage import LIMIT, Props
from tests.transparency.play import Watched, intercepting, path
from tests.wire.conversation import message

CALLS, CONNECTIONS = 400, 4

# Longer than a header table of the default size; it takes a table of this size to keep it.
LONG = 6_000 * "v"
TABLE = "65536"


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """The paths of nghttp2's programs."""
    try:
        return tools.find()
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "h2c"])
@pytest.mark.parametrize("intercepted", [False, True], ids=["straight", "intercepted"])
def test_every_call_of_h2load_is_answered_and_read(
    props: Props, tmp_path: Path, programs: dict[str, str], tls: bool, intercepted: bool
) -> None:
    request = bytes(range(256)) * 20
    files = {"key": props.genuine.key_pem, "cert": props.genuine.pem, "body": message(request)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    port = tools.free_port()
    serve = [programs["nghttpd"], "--address=127.0.0.1", "--echo-upload", "--padding=100"]
    serve += ["--trailer=grpc-status: 0"]
    serve += [f"--header-table-size={TABLE}", f"--encoder-header-table-size={TABLE}"]
    serve += [str(port), str(tmp_path / "key"), str(tmp_path / "cert")]
    if not tls:
        serve[1:] = ["--no-tls", *serve[1:-2]]
    seen = Watched()
    with contextlib.ExitStack() as stack:
        stack.enter_context(tools.running(serve, port))
        address = Address("127.0.0.1", port)
        if intercepted:
            address = stack.enter_context(intercepting(props, address, seen))
        load = [programs["h2load"], f"--requests={CALLS}", f"--clients={CONNECTIONS}"]
        load += ["--max-concurrent-streams=20", f"--data={tmp_path / 'body'}"]
        load += ["--header=content-type: application/grpc", f"--header=x-long: {LONG}"]
        load += [f"--header-table-size={TABLE}", f"--encoder-header-table-size={TABLE}"]
        load += [f"{'https' if tls else 'http'}://{address}{path('Unary')}"]
        done = subprocess.run(load, capture_output=True, text=True, timeout=LIMIT, check=True)
        assert f"{CALLS} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    if not intercepted:
        return
    assert seen.all(events.ParseFailed) == []
    for side in ("client", "server"):
        sizes = [m.size for m in seen.all(events.Message, direction=side)]
        assert sizes == [len(request)] * CALLS
    requests = seen.all(events.Headers, kind="request")
    assert [dict(block.headers)["x-long"] for block in requests] == [LONG] * CALLS
    trailers = seen.all(events.Headers, kind="trailers")
    assert [dict(block.headers)["grpc-status"] for block in trailers] == ["0"] * CALLS
    # An index in the table, once the client knows how large that may be.
    blocks = seen.all(events.Frame, direction="client", type="HEADERS")
    assert len([block for block in blocks if block.length < 100]) > CALLS / 2
    assert any("PADDED" in frame.flags for frame in seen.all(events.Frame, direction="server"))
