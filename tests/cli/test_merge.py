"""`audit --shard` and `merge`, as several hosts share an audit."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.programs import Result, mitm_demo, refused

# Of all kinds: certificates, attacks, one at each position among them, and a rule about offers.
WORDS = "attacker-ca,wrong-host,mixed-case,expired,reconnect,at-position,offers-old-tls"
LIMBO = Path(__file__).parent.parent / "audit" / "data" / "limbo-sample.json"

OF_THE_LAB = ("--client", "python", "--policy")


def audit(*words: str | Path, only: str = WORDS) -> Result:
    return mitm_demo("audit", "--json", "--only", only, *words)


def shards(folder: Path, of: int, *words: str | Path, only: str = WORDS) -> list[Path]:
    """Each shard by itself, as on a host of its own."""
    paths = []
    for number in range(1, of + 1):
        path = folder / f"{number}.json"
        path.write_text(audit("--shard", f"{number}/{of}", *words, only=only).out)
        paths.append(path)
    return paths


def told(result: Result) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(result.out)
    return report


@pytest.mark.parametrize(("policy", "code"), [("ca-file", 0), ("skip-verify", 1)])
def test_the_merged_report_is_that_of_the_whole_audit(
    tmp_path: Path, policy: str, code: int
) -> None:
    paths = shards(tmp_path, 3, *OF_THE_LAB, policy)
    whole = audit(*OF_THE_LAB, policy)
    merged = mitm_demo("merge", "--json", *reversed(paths))
    assert (whole.code, merged.code) == (code, code)
    assert merged.out == whole.out
    # Each has played the controls, and something.
    for path in paths:
        part = json.loads(path.read_text())
        assert [c["outcome"] for c in part["controls"]] == ["pass", "pass"]
        assert 2 <= len(part["findings"]) <= 3


def test_it_is_so_over_tls_1_2_in_whatever_order_the_words_stand(tmp_path: Path) -> None:
    some = ("expired", "wrong-host", "mixed-case")
    for number, only in ((1, ",".join(some)), (2, ",".join(some[::-1]))):
        result = audit("--tls", "1.2", "--shard", f"{number}/2", *OF_THE_LAB, "ca-file", only=only)
        (tmp_path / f"{number}.json").write_text(result.out)
    merged = mitm_demo("merge", "--json", *sorted(tmp_path.iterdir()))
    assert merged.code == 0, merged.err
    names = [finding["certificate"] for finding in told(merged)["findings"]]
    assert sorted(names) == sorted([*some, *(f"{name}:tls-1.2" for name in some)])


def test_a_missing_shard_is_inconclusive_in_every_form(tmp_path: Path) -> None:
    first, second = shards(tmp_path, 2, *OF_THE_LAB, "ca-file", only="attacker-ca,wrong-host")
    junit, sarif = tmp_path / "audit.xml", tmp_path / "audit.sarif"
    alone = mitm_demo("merge", "--junit", junit, "--sarif", sarif, second)
    assert alone.code == 3
    assert "missing: shard 1 of 2" in alone.out
    assert ElementTree.parse(junit).getroot()[0].get("errors") == "1"  # noqa: S314
    (invocation,) = json.loads(sarif.read_text())["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    # The twin, with the other one.
    both = mitm_demo("merge", "--junit", junit, "--sarif", sarif, first, second)
    assert both.code == 0
    assert ElementTree.parse(junit).getroot()[0].get("errors") == "0"  # noqa: S314


def test_a_merged_report_is_told_as_the_audits(tmp_path: Path) -> None:
    paths = shards(tmp_path, 2, *OF_THE_LAB, "skip-verify", only="attacker-ca,self-signed,no-san")
    known = tmp_path / "known.json"
    shown = mitm_demo("merge", *paths)
    assert shown.code == 1
    assert "This client takes any issuer" in shown.out
    assert "Audited: Python, grpcio, policy skip-verify" in shown.out
    known.write_text(mitm_demo("merge", "--json", *paths).out)
    assert mitm_demo("merge", "--baseline", known, *paths).code == 0


def test_what_cannot_be_merged_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    first, second = shards(tmp_path, 2, *OF_THE_LAB, "ca-file", only="attacker-ca,wrong-host")
    assert "stands in both" in refused(mitm_demo("merge", first, first))
    assert "is no report" in refused(mitm_demo("merge", first, LIMBO))
    assert "cannot read" in refused(mitm_demo("merge", tmp_path / "nowhere.json"))
    assert "REPORT" in mitm_demo("merge").err
    other = tmp_path / "other.json"
    other.write_text(
        audit("--shard", "2/2", *OF_THE_LAB, "pinned", only="attacker-ca,wrong-host").out
    )
    assert "another client (policy)" in refused(mitm_demo("merge", first, other))
    more = audit("--shard", "2/2", *OF_THE_LAB, "ca-file", only="attacker-ca,expired").out
    other.write_text(more)
    assert "another choice of certificates" in refused(mitm_demo("merge", first, other))
    assert mitm_demo("merge", first, second).code == 0


def test_limbos_test_cases_are_shared_as_well(tmp_path: Path) -> None:
    client = ("--", sys.executable, "-c", SSL_CLIENT, "{host}", "{port}", "{ca}", "{name}")
    words = ("audit", "--json", "--limbo", LIMBO)
    whole = mitm_demo(*words, *client)
    for number in (1, 2):
        part = mitm_demo(*words, "--shard", f"{number}/2", *client)
        (tmp_path / str(number)).write_text(part.out)
    merged = mitm_demo("merge", "--json", tmp_path / "1", tmp_path / "2")
    assert merged.code == whole.code
    outcomes = [
        {finding["certificate"]: finding["outcome"] for finding in told(each)["findings"]}
        for each in (whole, merged)
    ]
    assert outcomes[0] == outcomes[1]


SSL_CLIENT = """
import socket, ssl, sys
host, port, ca, name = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((host, int(port)), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=name) as tls:
        tls.sendall(b"EHLO client\\r\\n")
        tls.recv(100)
"""


@pytest.mark.parametrize(
    "shard",
    ["0/3", "4/3", "1", "1/", "/3", "a/b", "1/0", "-1/3", "1/3/5", "1.0/3", "1/9999999"],
)
def test_what_is_no_shard_is_refused(shard: str) -> None:
    line = refused(mitm_demo("audit", "--shard", shard, *OF_THE_LAB, "ca-file"))
    assert "write K/N, the first of three as 1/3" in line


def test_a_shard_with_nothing_in_it_is_refused() -> None:
    result = audit("--shard", "1/3", *OF_THE_LAB, "ca-file", only="attacker-ca,wrong-host")
    assert "only 2 certificates" in refused(result)
