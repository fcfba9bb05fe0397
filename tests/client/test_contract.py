"""The client contract, held against every client that comes with the project."""

import json
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from mitm.lab.clients import Client, surroundings
from mitm.lab.policies import POLICIES, Policy
from tests.client.conftest import UNSUPPORTED, Batch, Stage, asking, built
from tests.programs import LIMIT, Result, run, serving

ROOT = Path(__file__).resolve().parents[2]


def call(client: Client, *arguments: str | Path) -> Result:
    return run(*client.command, *arguments, **surroundings(os.environ))


def words(asked: dict[str, Any]) -> list[str]:
    return [word for name, value in asked.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def plaintext() -> Iterator[str]:
    with serving() as (_, address):
        yield address


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """A port on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{closed.getsockname()[1]}"


def test_it_tells_its_library_and_runtime_in_a_line(client: Client) -> None:
    result = run(*client.version, **surroundings(os.environ))
    assert (result.code, result.err) == (0, "")
    (line,) = result.out.splitlines()
    assert re.fullmatch(r"\S+ v?\d[^,]*, .*\d.*", line), line


def test_an_answered_call_is_one_json_line_and_exit_code_0(client: Client, plaintext: str) -> None:
    result = call(client, "--target", plaintext, "--policy", "insecure", "--id", "3")
    assert (result.code, result.err) == (0, "")
    assert result.json_lines == [{"user": {"id": 3, "name": "Jörg", "email": "joerg@example.com"}}]


def test_a_failed_call_is_one_json_line_and_exit_code_1(client: Client, plaintext: str) -> None:
    result = call(client, "--target", plaintext, "--policy", "insecure", "--id", "404")
    assert (result.code, result.err) == (1, "")
    (line,) = result.json_lines
    assert line["error"]["code"] == "NOT_FOUND"
    assert "404" in line["error"]["message"]


def test_the_user_that_is_asked_for_if_none_is_named_is_the_first(
    kept: Batch, plaintext: str
) -> None:
    assert kept.ask(target=plaintext, policy="insecure")["user"]["id"] == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_server_that_is_not_there_is_a_failed_call(
    client: Client, kept: Batch, stage: Stage, nowhere: str, policy: Policy
) -> None:
    asked = stage.asked(policy, "genuine") | {"target": nowhere}
    answer = kept.ask(**asked, timeout=5)
    if (client.name, policy) in UNSUPPORTED:
        assert answer["unsupported"]["policy"] == policy
    else:
        assert answer["error"]["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), answer


@pytest.mark.parametrize(("name", "policy"), sorted(UNSUPPORTED))
def test_a_policy_that_is_not_supported_is_told_with_the_reason_and_nothing_else(
    name: str, policy: Policy, stage: Stage
) -> None:
    client = built(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = f"127.0.0.1:{listening.getsockname()[1]}"
        result = call(client, *words(stage.asked(policy, "genuine") | {"target": target}))
        listening.settimeout(0)
        # It has dialled nobody.
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert (result.code, result.err) == (4, "")
    (line,) = result.json_lines
    assert line["unsupported"]["policy"] == policy
    assert re.fullmatch(r"\S.{10,300}", line["unsupported"]["reason"])


# What each policy takes, whatever the stack: `same-key` has nothing right but its key, and has
# expired besides as `same-key-expired`.
TAKES: dict[Policy, set[str]] = {
    "insecure": set(),
    "no-ca": set(),
    "ca-file": {"genuine"},
    "system-roots": {"genuine"},
    "pinned": {"genuine"},
    "skip-hostname": {"genuine", "wrong-host"},
    "pinned-key": {"genuine", "same-key", "same-key-expired"},
    "mutual-tls": {"genuine"},
}
EVERYTHING = {
    *("genuine", "attacker-ca", "wrong-host", "expired", "same-key", "same-key-expired"),
}

# What differs by stack. grpcio has no switch to skip verification, so its users trust what they are
# shown first: name and dates are still looked at.
DIFFERS: dict[tuple[str, Policy], set[str]] = {
    ("python", "skip-verify"): {"genuine", "attacker-ca"},
}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policies_decide_whom_to_trust(client: Client, stage: Stage, policy: Policy) -> None:
    taken, refused, untold = set(), set(), set()
    with asking(client, stage.environment(policy)) as batch:
        for server in stage.targets:
            match batch.ask(**stage.asked(policy, server), timeout=20):
                case {"user": {"id": 1}}:
                    taken.add(server)
                case {"error": {"code": str()}}:
                    refused.add(server)
                case {"unsupported": _}:
                    untold.add(server)
    if (client.name, policy) in UNSUPPORTED:
        assert untold == EVERYTHING
        return
    assert taken == DIFFERS.get((client.name, policy), TAKES.get(policy, EVERYTHING))
    assert refused == EVERYTHING - taken


@pytest.mark.parametrize("policy", ["ca-file", "skip-hostname"])
def test_server_name_is_the_name_that_must_be_proved(
    client: Client, kept: Batch, stage: Stage, policy: Policy
) -> None:
    if (client.name, policy) in UNSUPPORTED:
        pytest.skip("it is not supported")
    asked = stage.asked(policy, "genuine")
    assert "user" in kept.ask(**asked, server_name="localhost")
    answer = kept.ask(**asked, server_name="other.example")
    assert ("error" in answer) == (policy == "ca-file"), answer


def test_token_and_id_are_sent(kept: Batch) -> None:
    seen: list[tuple[bytes, dict[str, str | bytes]]] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
                seen.append((request, dict(context.invocation_metadata())))
                return request

            assert details.method == "/users.v1.UserService/GetUser"
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        # What is answered is what was asked: field 1, a varint, is the id of both messages.
        common: dict[str, Any] = {"target": f"127.0.0.1:{port}", "policy": "insecure"}
        assert kept.ask(**common, id=300, token="s3cret")["user"]["id"] == 300  # noqa: S106
        assert kept.ask(**common, id=-1)["user"]["id"] == -1
        assert kept.ask(**common, id=2**53 - 1)["user"]["id"] == 2**53 - 1
    finally:
        server.stop(None)
    assert seen[0][0] == b"\x08\xac\x02"
    assert seen[0][1]["authorization"] == "Bearer s3cret"
    assert "authorization" not in seen[1][1]


WRONG = [
    {},
    {"target": "localhost:1"},
    {"policy": "insecure"},
    {"target": "localhost", "policy": "insecure"},
    {"target": "localhost:1", "policy": "trusting"},
    {"target": "localhost:1", "policy": "ca-file"},
    {"target": "localhost:1", "policy": "pinned"},
    {"target": "localhost:1", "policy": "ca-file", "ca": "/nowhere/ca.pem"},
    {"target": "localhost:1", "policy": "ca-file", "ca": str(ROOT)},
    {"target": "localhost:1", "policy": "ca-file", "ca": str(ROOT / "README.md")},
    {"target": "localhost:1", "policy": "pinned", "pin": str(ROOT / "README.md")},
    {"target": "localhost:1", "policy": "no-ca", "cert": str(ROOT / "README.md")},
    {"target": "localhost:1", "policy": "no-ca", "key": str(ROOT / "README.md")},
    {"target": "localhost:1", "policy": "insecure", "id": "first"},
    {"target": "localhost:1", "policy": "insecure", "id": 2**63},
    {"target": "localhost:1", "policy": "insecure", "timeout": "nan"},
    {"target": "localhost:1", "policy": "insecure", "timeout": "inf"},
    {"target": "localhost:1", "policy": "insecure", "timeout": 0},
    {"target": "localhost:1", "policy": "insecure", "timeout": -1},
    {"target": "localhost:1", "policy": "insecure", "colour": "red"},
]


@pytest.mark.parametrize("asked", WRONG, ids=json.dumps)
def test_wrong_usage_in_a_batch_is_told_and_ends_nothing(
    kept: Batch, asked: dict[str, object]
) -> None:
    answer = kept.ask(**asked)
    assert [*answer] == ["usage"], answer
    assert answer["usage"]["message"].strip()
    assert "\n" not in answer["usage"]["message"]


# A process for each: of each kind one.
ALONE = [WRONG[0], WRONG[4], WRONG[7], WRONG[10], WRONG[11], WRONG[13], WRONG[-1]]


@pytest.mark.parametrize("asked", ALONE, ids=json.dumps)
def test_wrong_usage_alone_is_one_line_and_exit_code_2(
    client: Client, asked: dict[str, Any]
) -> None:
    result = call(client, *words(asked))
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert re.fullmatch(r"client: \S.*", line)


@pytest.mark.parametrize("line", ["not JSON", "[]", '"text"', "{", "{}{}", "\N{SNOWMAN}", "null"])
def test_a_line_that_is_no_object_is_told_and_ends_nothing(
    kept: Batch, plaintext: str, line: str
) -> None:
    kept.tell(line)
    assert [*kept.hear()] == ["usage"]
    assert "user" in kept.ask(target=plaintext, policy="insecure")


def test_answers_come_in_order_whatever_comes_of_each(client: Client, plaintext: str) -> None:
    common = {"target": plaintext, "policy": "insecure"}
    with asking(client) as batch:
        for asked in ({"id": 2}, {"id": 404}, {"id": "x"}, {"id": 3}, {"policy": "?"}, {"id": 1}):
            batch.tell(json.dumps(common | asked))
        heard = [batch.hear() for _ in range(6)]
        assert batch.end() == (0, "", "")
    kinds = [next(iter(answer)) for answer in heard]
    assert kinds == ["user", "error", "usage", "user", "usage", "user"]
    assert [answer["user"]["id"] for answer in heard if "user" in answer] == [2, 3, 1]


@pytest.mark.parametrize(
    ("policy", "server"),
    [
        ("insecure", "genuine"),
        ("no-ca", "genuine"),
        ("ca-file", "attacker-ca"),
        ("ca-file", "wrong-host"),
        ("ca-file", "expired"),
        ("pinned", "attacker-ca"),
        ("skip-hostname", "attacker-ca"),
        ("pinned-key", "attacker-ca"),
    ],
)
def test_a_call_fails_in_a_batch_as_it_does_alone(
    client: Client, kept: Batch, stage: Stage, policy: Policy, server: str
) -> None:
    asked = stage.asked(policy, server)
    alone = call(client, *words(asked), "--timeout", "20")
    (line,) = alone.json_lines
    for _ in range(2):
        assert _told(kept.ask(**asked, timeout=20)) == _told(line)


def _told(answer: dict[str, Any]) -> str:
    """An answer, without what differs from call to call: addresses, counts, the time."""
    return re.sub(r"\S*\d\S*", "N", json.dumps(answer))


def test_what_one_call_has_verified_is_not_believed_by_the_next(kept: Batch, stage: Stage) -> None:
    """A fresh channel each: no connection and no session is kept between them."""
    assert "user" in kept.ask(**stage.asked("ca-file", "genuine"))
    assert "user" in kept.ask(**stage.asked("skip-verify", "genuine"))
    assert "error" in kept.ask(**stage.asked("no-ca", "genuine"))
    assert "error" in kept.ask(
        **stage.asked("pinned", "genuine") | {"target": stage.targets["attacker-ca"]}
    )
    assert "error" in kept.ask(**stage.asked("insecure", "genuine"), timeout=3)


@contextmanager
def silent(how: str, stage: Stage) -> Iterator[str]:
    """A server that leaves something undone for ever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stage.trust.pin, stage.trust.pin.with_suffix(".key"))
    context.set_alpn_protocols(["h2"])
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
                if how == "accepts":
                    held.append(connection)
                elif how == "closes":
                    connection.close()
                else:
                    held.append(context.wrap_socket(connection, server_side=True))
            except ssl.SSLError:
                continue
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        if how != "accepts not":
            threading.Thread(target=serve, daemon=True).start()
        yield f"localhost:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("how", ["accepts not", "accepts", "closes", "speaks TLS alone"])
def test_it_ends_in_its_time_whatever_the_server_leaves_undone(
    client: Client, kept: Batch, stage: Stage, how: str
) -> None:
    with silent(how, stage) as target:
        for policy in ("insecure", "skip-verify", "ca-file", "pinned-key"):
            if (client.name, policy) in UNSUPPORTED:
                continue
            asked = stage.asked(policy, "genuine") | {"target": target}
            answer = kept.ask(**asked, timeout=1)
            # By which code is the stack's own: tonic calls what was reset UNKNOWN.
            assert [*answer] == ["error"], answer
        asked = stage.asked("ca-file", "genuine") | {"target": target}
        alone = call(client, *words(asked), "--timeout", "1")
    assert alone.code == 1, alone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", [False, True])
def test_a_signal_ends_it_quietly(
    client: Client, stage: Stage, plaintext: str, number: signal.Signals, busy: bool
) -> None:
    with ExitStack() as held:
        batch = held.enter_context(asking(client))
        listening = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        # It is up by now.
        assert "user" in batch.ask(target=plaintext, policy="insecure")
        if busy:
            target = f"localhost:{listening.getsockname()[1]}"
            asked = stage.asked("ca-file", "genuine") | {"target": target, "timeout": LIMIT}
            batch.tell(json.dumps(asked))
            held.enter_context(listening.accept()[0])
        batch.process.send_signal(number)
        # Its input stays open: it is the signal that ends it.
        batch.process.wait(LIMIT)
        assert batch.process.stdout
        assert batch.process.stderr
        assert (batch.process.stdout.read(), batch.process.stderr.read()) == ("", "")


def test_it_ends_when_whoever_asked_it_has_gone(client: Client) -> None:
    with asking(client) as batch:
        assert batch.process.stdin
        batch.process.stdin.close()
        assert batch.process.wait(LIMIT) == 0
