"""What the environment does to a client: roots, proxies, and a switch of verification."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitm.lab.builds import NotBuilt, ToolMissing, ready
from mitm.lab.clients import load_client, surroundings
from tests.programs import Result, mitm_demo, run, serving

# What says which roots a machine has; it is no part of these tests but where they set it.
ROOTS = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
)


def call(name: str, *arguments: str | Path, **environment: str) -> Result:
    """Call by a client; without what it takes, the test is skipped."""
    try:
        client = asyncio.run(ready(load_client(name), build=False))
    except (ToolMissing, NotBuilt) as error:
        pytest.skip(str(error))
    given = surroundings(os.environ) | dict.fromkeys(ROOTS, "") | environment
    return run(*client.command, "--timeout", "20", *arguments, **given)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", folder).code == 0
    return folder


def server(lab: Path, who: str) -> Iterator[str]:
    with serving("--cert", lab / f"{who}.pem", "--key", lab / f"{who}.key") as (_, address):
        yield f"localhost:{address.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def genuine(lab: Path) -> Iterator[str]:
    yield from server(lab, "server")


@pytest.fixture(scope="module")
def forged(lab: Path) -> Iterator[str]:
    yield from server(lab, "attacker")


@pytest.mark.parametrize(
    ("client", "variable"),
    [
        ("go", "SSL_CERT_FILE"),
        ("node", "NODE_EXTRA_CA_CERTS"),
        ("node", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
        ("python", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
        ("python-asyncio", "SSL_CERT_FILE"),
    ],
)
def test_its_default_roots_are_where_its_stack_looks(
    lab: Path, genuine: str, client: str, variable: str
) -> None:
    asked = ("--target", genuine, "--policy", "no-ca")
    assert call(client, *asked).code == 1
    assert call(client, *asked, **{variable: str(lab / "ca.pem")}).code == 0


@pytest.mark.parametrize("client", ["node", "python"])
def test_it_does_not_take_what_openssl_takes_for_the_machines_roots(
    lab: Path, genuine: str, client: str
) -> None:
    ca = str(lab / "ca.pem")
    assert call(client, "--target", genuine, "--policy", "no-ca", SSL_CERT_FILE=ca).code == 1
    assert call(client, "--target", genuine, "--policy", "system-roots", SSL_CERT_FILE=ca).code == 0


@pytest.mark.parametrize(
    ("client", "takes_it"),
    [("go", False), ("node", True), ("python", True), ("python-asyncio", False)],
)
def test_a_proxy_is_taken_for_this_machine_or_not(
    genuine: str, lab: Path, client: str, takes_it: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        result = call(
            client,
            *("--target", genuine, "--policy", "ca-file", "--ca", lab / "ca.pem"),
            *(("--timeout", "3") if takes_it else ()),
            https_proxy=address,
            **dict.fromkeys(("no_proxy", "NO_PROXY", "no_grpc_proxy"), ""),
        )
        proxy.settimeout(0)
        if takes_it:
            # It was asked, and has not answered.
            assert result.code == 1
            connection, _ = proxy.accept()
            with connection:
                assert connection.recv(8) == b"CONNECT "
        else:
            assert result.code == 0
            with pytest.raises(BlockingIOError):
                proxy.accept()


def test_grpc_js_verifies_whatever_node_is_told_to_leave(
    lab: Path, genuine: str, forged: str
) -> None:
    told = {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}
    ca_file = ("--policy", "ca-file", "--ca", lab / "ca.pem")
    refused = call("node", "--target", forged, *ca_file, **told)
    assert refused.code == 1
    assert "SELF_SIGNED_CERT_IN_CHAIN" in refused.out
    assert "NODE_TLS_REJECT_UNAUTHORIZED environment variable to '0'" in refused.err
    assert call("node", "--target", genuine, *ca_file, **told).code == 0
    assert call("node", "--target", forged, "--policy", "skip-verify").code == 0
