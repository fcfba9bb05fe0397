"""`mitm-demo audit` of clients that come by a proxy, or have port or roots of their own."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mitm.address import Address
from mitm.surroundings import through
from tests.programs import Result, mitm_demo, refused, serving

SOME = "attacker-ca,wrong-host,mixed-case"

# Python's `ssl`, as a client does that knows of proxies. What comes behind says whom it trusts.
CLIENT = """
import os, socket, ssl, sys
to, number, ca = sys.argv[1:4]
proxy = os.environ.get("https_proxy", "").removeprefix("http://")
if proxy:
    where, _, at = proxy.rpartition(":")
    plain = socket.create_connection((where, int(at)), timeout=10)
    plain.sendall(b"CONNECT %b HTTP/1.1\\r\\n\\r\\n" % f"{to}:{number}".encode())
    assert b" 200 " in plain.recv(1000)
else:
    plain = socket.create_connection((to, int(number)), timeout=10)
context = ssl.create_default_context(cafile=ca if ca != "none" else None)
CARELESS
with context.wrap_socket(plain, server_hostname=to) as tls:
    tls.sendall(b"EHLO client\\r\\n")
    tls.recv(100)
"""
SKIPS = "context.check_hostname = False; context.verify_mode = ssl.CERT_NONE"
BEHIND_PROXY = f"if proxy: {SKIPS}"

GRPC = """
import pathlib, sys, grpc
roots = pathlib.Path(sys.argv[2]).read_bytes()
with grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(roots)) as channel:
    channel.unary_unary("/shop.v1.Shop/Order")(b"", timeout=10)
"""


def client(careless: str = "", *, port: str = "{port}", ca: str = "{ca}") -> tuple[str, ...]:
    program = CLIENT.replace("CARELESS", careless)
    return ("--", sys.executable, "-c", program, "{host}", port, ca)


def audit(*words: str, only: str = SOME, **environment: str) -> Result:
    return mitm_demo("audit", "--json", "--only", only, *words, **environment)


def outcomes(result: Result) -> dict[str, str]:
    report: dict[str, Any] = json.loads(result.out)
    return {finding["certificate"]: finding["outcome"] for finding in report["findings"]}


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


# By a proxy


def test_who_verifies_otherwise_behind_a_proxy_is_found_there_alone() -> None:
    straight = audit(*client(BEHIND_PROXY))
    assert straight.code == 0, straight
    proxied = audit("--mode", "connect", *client(BEHIND_PROXY))
    assert proxied.code == 1, proxied
    expected = {"attacker-ca": "vulnerable", "wrong-host": "vulnerable", "mixed-case": "pass"}
    assert outcomes(proxied) == expected


def test_who_verifies_behind_a_proxy_as_well_is_left_alone() -> None:
    result = audit("--mode", "connect", *client())
    assert result.code == 0, result
    assert outcomes(result) == dict.fromkeys(SOME.split(","), "pass")


# It asks the proxy for http:// where https:// has failed.
FALLS_BACK = """
import ssl, socket
verified = ssl.SSLContext.wrap_socket
def wrap_socket(self, plain, server_hostname):
    try:
        return verified(self, plain, server_hostname=server_hostname)
    except ssl.SSLError:
        asking = socket.create_connection((where, int(at)), timeout=10)
        asking.sendall(b"GET http://%b/users HTTP/1.1\\r\\n\\r\\n" % server_hostname.encode())
        asking.recv(1000)
        raise
ssl.SSLContext.wrap_socket = wrap_socket
"""


def test_who_asks_the_proxy_in_plaintext_is_found() -> None:
    result = audit("--mode", "connect", *client(FALLS_BACK))
    assert result.code == 1, result
    expected = {"attacker-ca": "vulnerable", "wrong-host": "vulnerable", "mixed-case": "pass"}
    assert outcomes(result) == expected


# What is set on the machine of whoever audits is none of the audit's.
@pytest.mark.parametrize("own", [{}, {"no_proxy": "*", "NO_PROXY": ".test", "grpc_proxy": "x:1"}])
def test_grpcio_comes_by_it_and_so_does_a_client_of_the_lab(own: dict[str, str]) -> None:
    words = ("--", sys.executable, "-c", GRPC, "{target}", "{ca}")
    for who in (words, ("--client", "python", "--policy", "ca-file")):
        result = audit("--mode", "connect", *who, **own)
        assert result.code == 0, result
        assert outcomes(result) == dict.fromkeys(SOME.split(","), "pass")


def test_curl_comes_by_it() -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is needed: apt install curl")
    curl = ("--", "curl", "--silent", "--cacert", "{ca}", "https://{target}/")
    result = audit("--mode", "connect", "--name", "api.lab.example", *curl)
    assert result.code == 0, result
    careless = audit("--mode", "connect", *curl, "--insecure")
    assert careless.code == 1, careless


JAVA = """
import java.net.*;
import java.util.List;

public class Proxies {
    public static void main(String[] args) throws Exception {
        List<Proxy> found = ProxySelector.getDefault().select(new URI(args[0]));
        System.out.println(found.get(0).address());
    }
}
"""


@pytest.mark.parametrize("host", ["server.lab.mitm-demo.test", "localhost"])
def test_java_is_told_of_it(tmp_path: Path, host: str) -> None:
    if not shutil.which("javac"):
        pytest.skip("javac is needed: apt install default-jdk-headless")
    (tmp_path / "Proxies.java").write_text(JAVA)
    subprocess.run(["javac", "Proxies.java"], cwd=tmp_path, check=True)
    environment = through({"PATH": "/usr/bin:/bin"}, Address("127.0.0.1", 4711))
    command = ["java", "-cp", str(tmp_path), "Proxies", f"https://{host}/"]
    said = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert "127.0.0.1" in said
    assert ":4711" in said


def test_who_takes_no_proxy_is_told_what_to_do() -> None:
    unaware = tuple(word.replace('"https_proxy"', '"none"') for word in client())
    result = audit("--mode", "connect", *unaware)
    assert result.code == 3, result
    advice = " ".join(json.loads(result.out)["advice"])
    assert "without --mode connect" in advice


def test_what_is_about_addresses_is_not_asked_of_a_proxy() -> None:
    result = audit("--mode", "connect", *client(), only="ip-mismatch,attacker-ca")
    assert result.code == 0, result
    assert outcomes(result) == {"attacker-ca": "pass", "ip-mismatch": "not-exercised"}
    assert "asks no proxy" in result.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "connect", "--name", "localhost"), "a name that a proxy alone resolves"),
        (("--mode", "connect", "--limbo", "x"), "--mode connect is not for --limbo"),
        (("--listen", "localhost:1", "--jobs", "2"), "--listen is one port"),
        (("--listen", "localhost"), "'localhost' is not an address"),
        (("--listen", "example.com:1"), "example.com:1 is not on this machine"),
    ],
)
def test_what_does_not_fit_is_one_line(words: tuple[str, ...], said: str) -> None:
    assert said in refused(audit(*words, *client()))


# On a port of the client's own


@pytest.mark.parametrize(("careless", "code"), [("", 0), (SKIPS, 1)])
def test_a_port_that_is_compiled_in(port: str, careless: str, code: int) -> None:
    result = audit("--listen", f"localhost:{port}", *client(careless, port=port))
    assert result.code == code, result
    verdict = "vulnerable" if code else "pass"
    expected = {"attacker-ca": verdict, "wrong-host": verdict, "mixed-case": "pass"}
    assert outcomes(result) == expected


def test_a_client_that_knows_where_to_dial_is_not_tried_elsewhere(port: str) -> None:
    words = ["localhost" if word == "{host}" else word for word in client(port=port)]
    only = "ip-san,attacker-ca"
    result = audit("--listen", f"localhost:{port}", *words, only=only)
    assert result.code == 0, result
    assert outcomes(result) == {"attacker-ca": "pass", "ip-san": "not-exercised"}
    told = audit("--listen", f"localhost:{port}", *client(port=port), only=only)
    assert outcomes(told) == {"attacker-ca": "pass", "ip-san": "pass"}


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(audit("--listen", where, *client()))
    assert f"cannot listen on {where}" in said


# With the machine's roots


@pytest.mark.parametrize(
    ("careless", "code"), [("", 0), ("context.check_hostname = False", 1), (SKIPS, 1)]
)
def test_a_client_that_cannot_be_told_a_ca_is_audited_as_it_is(careless: str, code: int) -> None:
    words = ("--roots", "system", *client(careless, ca="none"))
    result = audit(*words, only=f"{SOME},system-root")
    assert result.code == code, result
    found = outcomes(result)
    assert found["system-root"] == "not-exercised"
    assert found["wrong-host"] == ("vulnerable" if code else "pass")
    assert found["mixed-case"] == "pass"
    # The twin: nobody plants it unless that is asked for.
    assert audit(*client(careless, ca="none")).code == (1 if careless == SKIPS else 3)


def test_all_of_it_goes_together(port: str) -> None:
    ways = ("--mode", "connect", "--roots", "system", "--listen", f"127.0.0.1:{port}")
    with serving() as (_, server):
        behind = ("--upstream", server, "--upstream-plaintext")
        sound = audit(*ways, *behind, *client(ca="none"))
        assert sound.code == 0, sound
        careless = audit(*ways, *behind, *client(BEHIND_PROXY, ca="none"))
        assert careless.code == 1, careless
