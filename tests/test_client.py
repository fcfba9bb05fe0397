"""The client contract, held against every client that comes with the project."""

import socket
from pathlib import Path

import pytest

from mitm.lab.clients import clients, load_client
from tests.programs import Result, mitm_demo, refused, run, serving

CLIENTS = [name for name in clients() if not load_client(name).requires]


def call(client: str, *arguments: str | Path) -> Result:
    return run(*load_client(client).command, *arguments)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def must_know(client: str, policy: str) -> None:
    if policy not in load_client(client).policies:
        pytest.skip(f"the client {client} does not know the policy {policy}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", directory).code == 0
    return directory


def test_an_answered_call_is_one_json_line_and_exit_code_0(client: str) -> None:
    must_know(client, "insecure")
    with serving() as (_, address):
        result = call(client, "--target", address, "--policy", "insecure", "--id", "3")
    assert result.code == 0
    assert result.json_lines == [{"user": {"id": 3, "name": "Jörg", "email": "joerg@example.com"}}]


def test_a_failed_call_is_one_json_line_and_exit_code_1(client: str) -> None:
    must_know(client, "insecure")
    with serving() as (_, address):
        result = call(client, "--target", address, "--policy", "insecure", "--id", "404")
    assert result.code == 1
    assert result.json_lines[0]["error"]["code"] == "NOT_FOUND"
    assert "404" in result.json_lines[0]["error"]["message"]


@pytest.mark.parametrize("policy", ["insecure", "skip-verify", "no-ca"])
def test_a_server_that_is_not_there_is_a_failed_call(client: str, policy: str) -> None:
    must_know(client, policy)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{closed.getsockname()[1]}"
        result = call(client, "--target", target, "--policy", policy, "--timeout", "2")
    assert result.code == 1
    assert result.json_lines[0]["error"]["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_the_policies_decide_whom_to_trust(client: str, lab: Path) -> None:
    """Each policy that it knows against the real server and the attacker's certificate."""
    trust: dict[str, tuple[str | Path, ...]] = {
        "skip-verify": (),
        "no-ca": (),
        "ca-file": ("--ca", lab / "ca.pem"),
        "pinned": ("--pin", lab / "server.pem"),
    }
    knows = load_client(client).policies
    trust = {policy: options for policy, options in trust.items() if policy in knows}
    codes = {}
    for who in ("server", "attacker"):
        cert = ("--cert", lab / f"{who}.pem", "--key", lab / f"{who}.key")
        with serving(*cert) as (_, address):
            target = f"localhost:{address.rpartition(':')[2]}"
            for policy, options in trust.items():
                result = call(client, "--target", target, "--policy", policy, *options)
                codes[who, policy] = result.code
    right = {
        ("server", "skip-verify"): 0,
        ("server", "no-ca"): 1,
        ("server", "ca-file"): 0,
        ("server", "pinned"): 0,
        ("attacker", "skip-verify"): 0,
        ("attacker", "no-ca"): 1,
        ("attacker", "ca-file"): 1,
        ("attacker", "pinned"): 1,
    }
    assert codes == {played: code for played, code in right.items() if played[1] in trust}


def test_server_name_is_the_name_that_must_be_proved(client: str, lab: Path) -> None:
    must_know(client, "ca-file")
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, address):
        target = f"localhost:{address.rpartition(':')[2]}"
        common = ("--target", target, "--policy", "ca-file", "--ca", lab / "ca.pem")
        assert call(client, *common, "--server-name", "localhost").code == 0
        assert call(client, *common, "--server-name", "other.example").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--target", "localhost:1"),
        ("--target", "localhost", "--policy", "insecure"),
        ("--target", "localhost:1", "--policy", "trusting"),
        ("--target", "localhost:1", "--policy", "ca-file"),
        ("--target", "localhost:1", "--policy", "ca-file", "--ca", "/nowhere/ca.pem"),
        ("--target", "localhost:1", "--policy", "pinned", "--pin", "README.md"),
        ("--target", "localhost:1", "--policy", "insecure", "--id", "first"),
        ("--target", "localhost:1", "--policy", "insecure", "--id", str(2**63)),
        ("--target", "localhost:1", "--policy", "insecure", "--timeout", "nan"),
        ("--target", "localhost:1", "--policy", "insecure", "--timeout", "inf"),
        ("--target", "localhost:1", "--policy", "insecure", "--colour", "red"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(client: str, arguments: tuple[str, ...]) -> None:
    refused(call(client, *arguments))
