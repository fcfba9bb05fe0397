"""`proxy --mode connect` before clients that know nothing of it but their environment."""

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitm.cli.proxy import _Forged
from mitm.pki import authority_from_files, load_recipe
from mitm.tls import Hello
from tests.cli.test_audit import own_ca
from tests.programs import LIMIT, MITM_DEMO, Result, mitm_demo, refused, run, running, serving

CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is missing (Debian: apt install curl)")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", directory).code == 0
    return directory


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[str]:
    """A genuine server, as `localhost:PORT`."""
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, address):
        yield f"localhost:{address.rpartition(':')[2]}"


class Proxy:
    """`mitm-demo proxy --mode connect`, and what it has said at its end."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self._process = process
        self.url = f"http://{address}"

    def environment(self, *variables: str) -> dict[str, str]:
        """Leads clients here, and nowhere around it."""
        return dict.fromkeys(variables, self.url) | {"no_proxy": "", "NO_PROXY": ""}

    def end(self) -> str:
        self._process.send_signal(signal.SIGINT)
        return self._process.communicate(timeout=LIMIT)[0]


@contextlib.contextmanager
def a_proxy(*arguments: str | Path) -> Iterator[Proxy]:
    command = ("proxy", "--mode", "connect", "--listen", "127.0.0.1:0", *arguments)
    with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on "), process.stderr and process.stderr.read()
        yield Proxy(process, line.split()[2].rstrip(","))


def call(proxy: Proxy, variable: str, target: str, *arguments: str | Path) -> Result:
    """grpcio, which finds its proxy by itself."""
    environment = proxy.environment(variable)
    return run(MITM_DEMO, "call", "--target", target, *arguments, **environment)


def attacker(lab: Path) -> tuple[str | Path, ...]:
    """A chain whose CA a client can be given, as a stand-in for one that was fooled."""
    return ("--cert", lab / "attacker.pem", "--key", lab / "attacker.key")


@pytest.mark.parametrize("variable", ["https_proxy", "grpc_proxy"])
def test_the_environment_leads_grpcio_through_and_it_is_read(
    lab: Path, server: str, variable: str
) -> None:
    trusting = ("--policy", "ca-file", "--ca", lab / "attacker-ca.pem", "--token", "t" * 20)
    with a_proxy("--intercept", "localhost", *attacker(lab)) as proxy:
        result = call(proxy, variable, server, *trusting)
        said = proxy.end()
    assert result.code == 0, result
    assert result.json_lines[0]["user"]["name"] == "Nicolas"
    assert f"wants to reach {server}" in said
    assert "calls /users.v1.UserService/GetUser" in said
    assert "authorization: Bearer" in said


def test_grpcio_that_verifies_leaves(lab: Path, server: str) -> None:
    careful = ("--policy", "ca-file", "--ca", lab / "ca.pem")
    with a_proxy("--intercept", "localhost", *attacker(lab)) as proxy:
        result = call(proxy, "https_proxy", server, *careful)
        said = proxy.end()
    assert result.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in result.json_lines[0]["error"]["message"]
    assert "during the handshake" in said
    assert "application data" not in said


def test_the_same_client_gets_through_where_its_server_is_not_under_test(
    lab: Path, server: str
) -> None:
    careful = ("--policy", "ca-file", "--ca", lab / "ca.pem")
    with a_proxy("--intercept", "api.example", *attacker(lab)) as proxy:
        result = call(proxy, "https_proxy", server, *careful)
        said = proxy.end()
    assert result.code == 0, result
    assert f"localhost is not under test: passed on unread, to {server}" in said
    assert "ClientHello" not in said
    assert "GetUser" not in said


def test_a_plaintext_channel_is_exposed() -> None:
    with serving() as (_, address), a_proxy("--intercept", "localhost") as proxy:
        target = f"localhost:{address.rpartition(':')[2]}"
        result = call(proxy, "grpc_proxy", target, "--policy", "insecure")
        said = proxy.end()
    assert result.code == 0, result
    assert "speaks HTTP/2 without TLS" in said
    assert 'GetUserRequest {"id": "1"}' in said


@needs_curl
def test_a_certificate_is_forged_for_each_host_under_test(server: str) -> None:
    """None of them is this machine's: they are dialled at --upstream."""
    names = ["api.example", "www.example"]
    under_test = [word for name in names for word in ("--intercept", name)]
    with a_proxy(*under_test, "--upstream", server) as proxy:
        for name in names:
            shown = curl(proxy, "--insecure", "--verbose", f"https://{name}/")
            assert f"subject: CN={name}" in shown.err, shown
            assert "DO NOT TRUST" in shown.err
        said = proxy.end()
    for name in names:
        assert f"ClientHello: for {name}" in said
        assert f"presents attacker-ca: CN={name}" in said


@needs_curl
def test_a_host_under_test_by_its_address_gets_a_certificate_for_the_name_it_is_called(
    server: str,
) -> None:
    """As in docs/in-the-way.md: the address is what is known, the name what the client says."""
    port = server.rpartition(":")[2]
    with a_proxy("--intercept", "127.0.0.1", "--cert", "attacker-ca") as proxy:
        for name in ("api.example", "localhost"):
            there = ("--connect-to", f"{name}:{port}:127.0.0.1:{port}")
            shown = curl(proxy, "--insecure", "--verbose", *there, f"https://{name}:{port}/secret")
            assert f"subject: CN={name}" in shown.err, shown
            assert "DO NOT TRUST" in shown.err
        said = proxy.end()
    assert said.count("wants to reach 127.0.0.1") == 2
    assert said.count("calls /secret") == 2
    assert "passed on unread" not in said


def curl(proxy: Proxy, *arguments: str) -> Result:
    return run("curl", "--silent", *arguments, **proxy.environment("https_proxy", "http_proxy"))


@needs_curl
def test_curl_is_told_why_it_was_refused(server: str) -> None:
    with a_proxy("--intercept", "localhost") as proxy:
        elsewhere = curl(proxy, "--show-error", "https://api.example/")
        assert elsewhere.code == 56
        assert "response 403" in elsewhere.err
        absolute = curl(proxy, "--include", f"http://{server}/")
        assert absolute.out.startswith("HTTP/1.1 405 Method Not Allowed")
        assert absolute.out.endswith("this proxy knows CONNECT alone\n")
        said = proxy.end()
    assert "add --allow-host api.example" in said


@needs_curl
def test_curl_that_verifies_leaves_and_its_twin_is_read(lab: Path, server: str) -> None:
    url = f"https://{server}/secret-path"
    with a_proxy("--intercept", "localhost", *attacker(lab)) as proxy:
        careful = curl(proxy, "--cacert", str(lab / "ca.pem"), url)
        assert careful.code == 60  # CURLE_PEER_FAILED_VERIFICATION
        curl(proxy, "--cacert", str(lab / "attacker-ca.pem"), url)
        said = proxy.end()
    first = "\n".join(line for line in said.splitlines() if "#1 " in line)
    second = "\n".join(line for line in said.splitlines() if "#2 " in line)
    assert "TLS alert: unknown_ca (48)" in first
    assert "application data" not in first
    assert "calls /secret-path" in second


def test_events_tell_who_was_let_pass(lab: Path, server: str, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with a_proxy("--intercept", "api.example", "--events", log) as proxy:
        call(proxy, "https_proxy", server, "--policy", "ca-file", "--ca", lab / "ca.pem")
        proxy.end()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in told] == [
        "connected",
        "destination",
        "tunnelled",
        "closed",
    ]
    assert told[2]["name"] == "localhost"
    assert told[3]["phase"] == "tunnelled"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--mode", "connect"), "add --intercept NAME"),
        (("--mode", "transparent"), "add --intercept NAME"),
        (("--intercept", "localhost"), "is for --mode connect and --mode transparent"),
        (("--mode", "connect", "--intercept", "localhost:443"), "neither a host name nor an IP"),
        (("--mode", "connect", "--intercept", "a b"), "neither a host name nor an IP"),
        (
            ("--mode", "connect", "--intercept", "a.example", "--upstream", "192.0.2.1:443"),
            "add --allow-host 192.0.2.1",
        ),
        (
            ("--mode", "connect", "--intercept", "a.example", "--reflection"),
            "add --upstream HOST:PORT",
        ),
        (("--mode", "socks"), "'socks' is not one of"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(mitm_demo("proxy", "--listen", "127.0.0.1:0", *arguments))


def test_an_authority_of_ones_own_signs_for_no_name_that_only_a_client_calls(
    tmp_path: Path,
) -> None:
    """A host that is under test by its address is called by a name that may be anybody's."""
    lab = authority_from_files(*own_ca(tmp_path))
    hello = Hello("www.corp.com", ("h2",), (), ())
    genuine, forged = load_recipe("genuine"), load_recipe("attacker-ca")
    shown = _Forged("genuine", genuine, ["198.51.100.2"], lab)(hello).chain
    assert (shown.subjects[0], shown.server_name) == ("CN=198.51.100.2", "198.51.100.2")
    # The twin: what nobody trusts may say so, and the one that is named is signed for.
    assert _Forged("attacker-ca", forged, ["198.51.100.2"], None)(hello).chain.subjects[0] == (
        "CN=www.corp.com"
    )
    named = _Forged("genuine", genuine, ["198.51.100.2", "www.corp.com"], lab)(hello).chain
    assert named.subjects[0] == "CN=www.corp.com"
