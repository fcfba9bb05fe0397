"""`proxy --rewrite` and `--impersonate`, and the scenario `tampered`, as a class sees them."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import (
    MITM_DEMO,
    Result,
    leg_of,
    mitm_demo,
    refused,
    running,
    scenario_file,
    serving,
)

MALLORY = "users.v1.User.name=Mallory"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", directory).code == 0
    return directory


class Proxy:
    """A proxy while it runs, and what it has printed once it has ended."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.out = ""

    def call(self, policy: str, *arguments: str | Path) -> Result:
        port = self.address.rpartition(":")[2]
        target = f"localhost:{port}"
        return mitm_demo("call", "--policy", policy, "--target", target, *arguments)


@contextmanager
def proxy(*arguments: str | Path) -> Iterator[Proxy]:
    command = ("proxy", "--listen", "127.0.0.1:0", *arguments)
    with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        it = Proxy(line.split()[2].rstrip(","))
        yield it
        process.send_signal(signal.SIGINT)
        it.out, _ = process.communicate(timeout=30)
        it.out = line + it.out


class Served(NamedTuple):
    upstream: str
    lab: Path


@pytest.fixture(scope="module")
def served(lab: Path) -> Iterator[Served]:
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, upstream):
        yield Served(upstream, lab)


def test_a_client_believes_a_forged_answer_and_both_versions_are_shown(
    served: Served, tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    with proxy("--upstream", served.upstream, "--rewrite", MALLORY, "--events", log) as it:
        fooled = it.call("skip-verify")
        assert fooled.json_lines[0]["user"]["name"] == "Mallory"
    lines = it.out.splitlines()
    at = next(i for i, line in enumerate(lines) if "changes the User on its way to the" in line)
    assert '"name": "Nicolas"' in lines[at + 1]
    assert '"name": "Mallory"' in lines[at + 2]
    told = [json.loads(line) for line in log.read_text().splitlines()]
    (change,) = (event for event in told if event["event"] == "rewritten")
    assert (change["before"]["name"], change["after"]["name"]) == ("Nicolas", "Mallory")


def test_the_twin_that_verifies_leaves_before_anything_can_be_changed(served: Served) -> None:
    with proxy("--upstream", served.upstream, "--rewrite", MALLORY) as it:
        assert it.call("ca-file", "--ca", served.lab / "ca.pem").code == 1
    assert "changes the" not in it.out
    assert "Mallory" not in it.out


def test_several_rules_are_followed_and_tokens_stay_masked(served: Served) -> None:
    rules = (
        *("--rewrite", "users.v1.GetUserRequest.id=2"),
        *("--rewrite", "metadata:authorization=Bearer a-forged-token-0123456789"),
        *("--rewrite", MALLORY),
    )
    with proxy("--upstream", served.upstream, *rules) as it:
        answer = it.call("skip-verify", "--token", "a-secret-of-the-test-0123456789")
    assert answer.json_lines[0]["user"] == {
        "id": 2,
        "name": "Mallory",
        "email": "amina@example.com",
    }
    assert "changes the metadata on its way to the server" in it.out
    assert "changes the GetUserRequest on its way to the server" in it.out
    assert "a-secret-of-the-test" not in it.out
    assert "a-forged-token" not in it.out


def test_a_status_is_forged(served: Served) -> None:
    rule = "status=PERMISSION_DENIED:not for you"
    with proxy("--upstream", served.upstream, "--rewrite", rule) as it:
        answer = it.call("skip-verify")
    assert answer.code == 1
    assert answer.json_lines[0]["error"] == {"code": "PERMISSION_DENIED", "message": "not for you"}
    assert "changes the status on its way to the client" in it.out


def test_without_any_server_the_attacker_answers_by_itself() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        upstream = f"127.0.0.1:{closed.getsockname()[1]}"
        with proxy("--upstream", upstream, "--impersonate", "--rewrite", MALLORY) as it:
            answer = it.call("skip-verify")
    assert answer.json_lines[0]["user"] == {"id": 0, "name": "Mallory", "email": ""}
    assert "answering in its place" in it.out
    assert "answers by itself, in the server's place" in it.out


def test_its_twin_that_verifies_is_not_answered(served: Served) -> None:
    with proxy("--impersonate", "--rewrite", MALLORY) as it:
        assert it.call("ca-file", "--ca", served.lab / "ca.pem").code == 1
    assert "sends application data" not in it.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rewrite", "users.v1.User.nmae=x"), "users.v1.User has no field 'nmae': did you mean"),
        (("--rewrite", "users.v1.Usr.name=x"), "did you mean 'users.v1.User'?"),
        (("--rewrite", "users.v1.User.id=x"), "is a 64-bit whole number, not 'x'"),
        (("--rewrite", "status=FINE"), "unknown gRPC status 'FINE'"),
        (("--rewrite", "Mallory"), "write WHAT=VALUE"),
        (
            ("--impersonate", "--mode", "transparent", "--intercept", "localhost"),
            "--impersonate is not for --mode transparent",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(mitm_demo("proxy", "--listen", "127.0.0.1:0", *arguments))


# The scenario


def test_tampered_shows_both_versions_side_by_side() -> None:
    result = mitm_demo("run", "tampered", "--details")
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines()]
    assert ["User", "the", "server", "sent", "the", "client", "was", "given"] in rows
    assert ["name", "Nicolas", "Mallory"] in rows
    assert ["email", "nicolas@example.com", "nicolas@example.com"] in rows
    assert "changes what passes: users.v1.User.name=Mallory" in result.out
    assert "the client believed an altered answer" in result.out


def test_three_witnesses_tell_that_an_altered_answer_was_believed() -> None:
    result = mitm_demo("run", "tampered", "--json")
    (outcome,) = result.json_lines
    genuine, attack = leg_of(outcome, "genuine"), leg_of(outcome)
    assert genuine["client"]["answer"]["user"]["name"] == "Nicolas"
    assert attack["client"]["answer"]["user"]["name"] == "Mallory"
    assert [call["status"] for call in attack["server_calls"]] == ["OK"]
    assert attack["evidence"]["reached"] == "altered"
    (read,) = attack["evidence"]["calls"]
    assert read["responses"][0]["name"] == "Nicolas"
    (altered,) = attack["evidence"]["altered"]
    assert (altered["before"]["name"], altered["after"]["name"]) == ("Nicolas", "Mallory")


def test_its_twin_with_a_ca_file_aborts_and_nothing_is_altered(tmp_path: Path) -> None:
    twin = scenario_file(
        tmp_path / "twin.md",
        client="policy: ca-file",
        attacker=f"certificate: attacker-ca, rewrite: ['{MALLORY}']",
        server="mode: tls",
        intercepted="aborted",
    )
    result = mitm_demo("run", twin, "--json")
    assert result.code == 0, result.err
    attack = leg_of(result.json_lines[0])
    assert attack["evidence"]["reached"] == "nothing"
    assert "altered" not in attack["evidence"] or not attack["evidence"]["altered"]


def test_an_insecure_client_believes_it_as_well(tmp_path: Path) -> None:
    mine = scenario_file(
        tmp_path / "mine.md", attacker=f"certificate: attacker-ca, rewrite: ['{MALLORY}']"
    )
    (outcome,) = mitm_demo("run", mine, "--json").json_lines
    attack = leg_of(outcome)
    assert (attack["verdict"], attack["evidence"]["reached"]) == ("exposed", "altered")


def test_a_mistake_in_a_scenarios_rule_names_the_file(tmp_path: Path) -> None:
    mine = scenario_file(
        tmp_path / "mine.md", attacker="certificate: attacker-ca, rewrite: [users.v1.User.nmae=x]"
    )
    line = refused(mitm_demo("run", mine))
    assert str(mine) in line
    assert "has no field 'nmae'" in line
