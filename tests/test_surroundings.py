"""A client under test reaches what it is told to dial, whatever proxy its environment names."""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import audit
from mitm.surroundings import going_straight, proxies, straight, without_proxies
from tests.programs import NOWHERE, leg_of, mitm_demo

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
ALL_PROXIES = {cased: NOWHERE for name in VARIABLES for cased in (name, name.upper(), name.title())}

# It takes a proxy from its environment, as every channel of grpcio does.
CLIENT = """
import os, pathlib, grpc
roots = pathlib.Path(os.environ["MITM_CA"]).read_bytes()
with grpc.secure_channel(os.environ["MITM_TARGET"], grpc.ssl_channel_credentials(roots)) as channel:
    channel.unary_unary("/shop.v1.Shop/Order")(b"", timeout=10)
"""

HOSTS = st.sampled_from(["", "*", "intern.example", "127.0.0.1", " a.example , ", ".b.example,"])


def test_the_lab_dials_past_a_proxy() -> None:
    result = mitm_demo("run", "ca-file", "skip-verify", "insecure", "--json", **ALL_PROXIES)
    assert result.code == 0, result
    verdicts = [leg_of(each)["verdict"] for each in result.json_lines]
    assert verdicts == ["aborted", "compromised", "exposed"]


@pytest.mark.parametrize("client", ["described", "command"])
def test_an_audited_client_dials_past_a_proxy(client: str, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    if client == "described":
        subject: tuple[str, ...] = ("--client", "python", "--policy", "ca-file")
    else:
        subject = ("--", sys.executable, str(tmp_path / "client.py"))
    result = mitm_demo("audit", "--only", "attacker-ca", *subject, **ALL_PROXIES)
    assert result.code == 0, result


def test_a_function_under_audit_dials_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(server: audit.Endpoint) -> None:
        seen.append(os.environ["https_proxy"])
        with grpc.secure_channel(
            server.target, grpc.ssl_channel_credentials(server.ca_pem)
        ) as channel:
            order: Any = channel.unary_unary("/shop.v1.Shop/Order")
            order(b"", timeout=10)

    seen: list[str] = []
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "intern.example")
    report = audit.run(client, only=["attacker-ca"])
    assert report.conclusive, report.controls
    assert not report.failing()
    # The proxy is there for whatever else it does, and afterwards all is as it was.
    assert set(seen) == {NOWHERE}
    assert os.environ["no_proxy"] == "intern.example"


def test_what_is_changed_for_a_while_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    before = dict(os.environ)
    with going_straight("api.example"):
        assert "api.example" in os.environ["no_proxy"].split(",")
    assert dict(os.environ) == before


def test_without_a_proxy_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxies(os.environ):
        monkeypatch.delenv(name)
    before = dict(os.environ)
    with going_straight("api.example"):
        assert dict(os.environ) == before
    assert straight(before, "api.example") == before


def test_proxies_are_found_in_whatever_case_and_not_if_they_are_empty() -> None:
    assert proxies({"Https_Proxy": "x", "all_proxy": "y", "http_proxy": "", "proxy": "z"}) == [
        "Https_Proxy",
        "all_proxy",
    ]
    assert proxies(without_proxies(ALL_PROXIES | {"PATH": "/bin"})) == []


def test_exceptions_of_grpc_alone_are_kept_beside_this_machine() -> None:
    before = {"https_proxy": NOWHERE}
    changed = straight(before | {"no_grpc_proxy": "intern.example"}, "api.example")
    assert changed["no_grpc_proxy"].split(",")[:2] == ["intern.example", "localhost"]
    assert changed["no_grpc_proxy"].endswith("api.example")
    # It would hide no_proxy, and what is excepted there, from gRPC.
    assert "no_grpc_proxy" not in straight(before | {"no_proxy": "intern.example"})


def test_brackets_are_for_those_who_dial_by_ipv6() -> None:
    """httpx cannot read them, and fails whatever it dials (0.28)."""
    assert "[" not in straight({"https_proxy": NOWHERE}, "localhost")["no_proxy"]
    assert "[::1]" in straight({"https_proxy": NOWHERE}, "::1")["no_proxy"].split(",")


@given(no_proxy=HOSTS, NO_PROXY=HOSTS)
def test_this_machine_is_excepted_and_others_are_as_before(no_proxy: str, NO_PROXY: str) -> None:  # noqa: N803
    """Judged by the rules of Python's urllib, which reads the lower case first."""
    before = {"https_proxy": NOWHERE, "no_proxy": no_proxy, "NO_PROXY": NO_PROXY}
    after = straight(before, "api.example")
    for host in ("localhost", "127.0.0.1", "::1", "api.example"):
        assert host in after["no_proxy"].split(",") or not proxies(after)
        assert host in after["NO_PROXY"].split(",") or not proxies(after)
    if no_proxy:
        for host in ("intern.example", "a.example", "www.b.example", "elsewhere.example"):
            assert _direct(host, before) == _direct(host, after)


def _direct(host: str, environment: dict[str, str]) -> bool:
    """Whether urllib would dial a host itself."""
    known = {
        name.removesuffix("_proxy"): value
        for name, value in environment.items()
        if name in ("https_proxy", "no_proxy") and value
    }
    return "https" not in known or bool(proxy_bypass_environment(host, known))
