"""Every certificate once more over TLS 1.2: a client may verify in one version alone."""

import json
import socket
import ssl
import sys
from pathlib import Path
from ssl import TLSVersion

import pytest

from mitm import audit
from mitm.audit import catalogue, certificates, find_causes, select, with_twins
from mitm.audit.conclusion import conclude
from mitm.errors import UserError
from mitm.pki import Recipe
from tests.plugin import clients
from tests.programs import mitm_demo

SOME = ("attacker-ca", "wrong-host", "expired", "intermediate", "tls-1.0", "plaintext-http2")
TWINS = ("attacker-ca:tls-1.2", "expired:tls-1.2", "wrong-host:tls-1.2")


def outcomes(report: audit.Report) -> dict[str, str]:
    return {finding.case.name: finding.outcome for finding in report.findings}


def ask(server: audit.Endpoint, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((server.host, server.port), clients.LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=server.host) as connection,
    ):
        connection.sendall(clients.REQUEST)
        return connection.recv(1000)


def verifies_in_1_3_alone(server: audit.Endpoint) -> bytes:
    """It has another way to old servers, which was written when they had no certificates."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = TLSVersion.TLSv1_3
    try:
        return ask(server, context)
    except ssl.SSLError as error:
        if "PROTOCOL_VERSION" not in (error.reason or ""):
            raise
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return ask(server, context)


def speaks_1_3_alone(server: audit.Endpoint) -> bytes:
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = TLSVersion.TLSv1_3
    return ask(server, context)


def test_a_client_that_verifies_in_tls_1_3_alone_is_found() -> None:
    report = audit.run(verifies_in_1_3_alone, only=SOME, tls="1.2")
    assert report.conclusive
    assert tuple(sorted(f.case.name for f in report.failing())) == TWINS
    assert {f.case.name for f in report.findings if f.outcome == "pass"} >= {
        "attacker-ca",
        "expired",
        "wrong-host",
        "intermediate",
        "intermediate:tls-1.2",
    }
    cause = find_causes(report)[0]
    assert "over TLS 1.2" in cause.says
    assert {f.case.name for f in cause.findings} <= set(TWINS)


def test_without_it_that_client_is_clean() -> None:
    only = ("attacker-ca", "wrong-host", "expired")
    assert not audit.run(verifies_in_1_3_alone, only=only).failing()


def test_a_client_that_verifies_in_either_version_is_clean() -> None:
    report = audit.run(clients.checks, only=SOME, tls="1.2")
    assert report.conclusive
    assert set(outcomes(report).values()) == {"pass"}
    assert conclude(report, strict=True).exit_code == 0


def test_a_client_without_tls_1_2_refuses_them_and_that_is_a_pass() -> None:
    report = audit.run(speaks_1_3_alone, only=SOME, tls="1.2")
    assert report.conclusive
    told = {f.case.name: f for f in report.findings}
    for name in TWINS:
        assert told[name].outcome == "pass"
        assert "offers nothing that this could be served with" in told[name].reason
    # It is strict by right.
    assert told["intermediate:tls-1.2"].outcome == "too-strict"
    assert not report.failing()


def test_what_a_client_takes_in_either_version_has_one_cause() -> None:
    report = audit.run(clients.checks_nothing, only=["must"], tls="1.2")
    grave = [cause for cause in find_causes(report) if cause.severity == "must"]
    assert grave[0].says == "this client does not verify at all"
    assert {"attacker-ca", "attacker-ca:tls-1.2"} <= {f.case.name for f in grave[0].findings}
    assert not any("over TLS 1.2" in cause.says for cause in grave)


def test_what_is_presented_over_tls_1_2_or_not_at_all_has_no_twin() -> None:
    known = {recipe.name: recipe for recipe in with_twins(catalogue())}
    twins = {name for name in known if name.endswith(":tls-1.2")}
    for recipe in certificates():
        old = recipe.tls.maximum not in (None, "TLSv1.3") or recipe.tls.plaintext
        has = f"{recipe.name}:tls-1.2" in twins
        assert has == (not old and recipe.name != "genuine")
    for name in twins:
        twin = known[name]
        assert isinstance(twin, Recipe)
        assert twin.tls.maximum == "TLSv1.2"
    assert [r.name for r in with_twins(catalogue(), None)] == [r.name for r in catalogue()]


def test_twins_are_chosen_with_the_certificate_and_by_themselves() -> None:
    def chosen(only: list[str], exclude: list[str] | None = None) -> list[str]:
        return [recipe.name for recipe in select(with_twins(catalogue()), only, exclude or [])]

    assert chosen(["expired"]) == ["expired", "expired:tls-1.2"]
    assert chosen(["expired:tls-1.2"]) == ["expired:tls-1.2"]
    assert chosen(["expired"], ["expired:tls-1.2"]) == ["expired"]
    assert "expired:tls-1.2" in chosen(["must"])
    with pytest.raises(UserError, match="with --tls"):
        select(catalogue(), ["expired:tls-1.2"])


CLIENT = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3])
if sys.argv[4] == "careless" :
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as plain:
    with context.wrap_socket(plain, server_hostname=sys.argv[1]) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        connection.recv(100)
"""


@pytest.mark.parametrize(("kind", "code"), [("careful", 0), ("careless", 1)])
def test_reports_and_baselines_tell_them_apart(tmp_path: Path, kind: str, code: int) -> None:
    client = tmp_path / "client.py"
    client.write_text(CLIENT)
    command = ("--", sys.executable, str(client), "{host}", "{port}", "{ca}", kind)
    sarif = tmp_path / "audit.sarif"
    options = ("--tls", "1.2", "--only", "expired", "--sarif", str(sarif), "--json")
    done = mitm_demo("audit", *options, *command)
    assert done.code == code
    said = json.loads(done.out)
    assert [each["certificate"] for each in said["findings"]] == ["expired", "expired:tls-1.2"]
    rules = json.loads(sarif.read_text())["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["expired", "expired:tls-1.2"]
    # What is known of the one says nothing of the other.
    known = tmp_path / "known.json"
    said["findings"] = [f for f in said["findings"] if f["certificate"] == "expired"]
    known.write_text(json.dumps(said))
    done = mitm_demo("audit", *options, "--baseline", str(known), *command)
    assert done.code == code
    if code:
        assert json.loads(done.out)["failing"] == ["expired:tls-1.2"]


def test_the_lesson_of_a_twin_is_that_of_the_certificate() -> None:
    assert mitm_demo("show", "expired:tls-1.2").out == mitm_demo("show", "expired").out


def test_limbo_has_no_twins(tmp_path: Path) -> None:
    done = mitm_demo("audit", "--limbo", str(tmp_path / "none"), "--tls", "1.2", "--", "true")
    assert done.code == 2
    assert "--tls" in done.err
