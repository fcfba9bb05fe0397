"""The scenarios of the guide, and a dozen certificates and attacks, with every client.

What must come of each is worked out from what a policy looks at, and from what each stack's own
documentation says of the rest; never from what a client was seen to do.
"""

import asyncio
import functools
from typing import Any

import pytest

from mitm.audit import Report, catalogue, forge_suite, run_audit, select, stand_in
from mitm.audit.setting import LONG_NAME
from mitm.lab.acme import missing
from mitm.lab.batch import BatchClient
from mitm.lab.clients import Client
from mitm.lab.policies import Policy
from mitm.lab.scenario import load_scenario, scenarios
from mitm.pki import CLIENT_IDENTITY
from tests.client.conftest import UNSUPPORTED
from tests.programs import mitm_demo

# Seconds that a call may take on a machine that does much else.
SECONDS = 30.0

GET_USER = "/users.v1.UserService/GetUser"
# Who else has a certificate of the right CA, in the scenario `wrong-identity`.
WIKI = "wiki.lab.mitm-demo.localhost"


@functools.cache
def ran(client: str, scenario: str) -> dict[str, Any]:
    """What has come of a scenario."""
    # A JVM for each leg takes its time where much else is done.
    result = mitm_demo("run", scenario, "--json", "--client", client, "--timeout", "30")
    (line,) = result.json_lines
    assert result.code == (0 if "legs" in line else 4 if missing() in line["not_played"] else 3)
    return line


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_comes_out_as_it_should(client: Client, name: str) -> None:
    line, scenario = ran(client.name, name), load_scenario(name)
    if missing() and name in ("acme", "acme-hijack"):
        pytest.skip(missing())
    if all((client.name, policy) in UNSUPPORTED for policy in scenario.policies):
        assert "has no policy" in line["not_played"]
        return
    for leg, played in zip(scenario.legs, line["legs"], strict=True):
        if (client.name, scenario.client(leg).policy) in UNSUPPORTED:
            assert "has no policy" in played["not_played"]
        else:
            assert played["verdict"] == leg.expected, played


def test_mutual_tls_is_told_of_both_sides(client: Client) -> None:
    """What the client has given away, and what the server has made of the attacker."""
    verified, read, any_ca, stolen, wrong = (
        ran(client.name, name)["legs"]
        for name in (
            "mutual-tls",
            "mutual-tls-skip-verify",
            "any-client-certificate",
            "stolen-client-key",
            "wrong-identity",
        )
    )

    def gave(leg: dict[str, Any]) -> list[str]:
        identity = leg["evidence"]["client_certificate"]
        assert identity is None or identity["proved"]
        return identity["names"] if identity else []

    def served(leg: dict[str, Any]) -> list[tuple[str, str]]:
        return [(call["status"], call["identity"]) for call in leg["server_calls"]]

    assert gave(verified[2]) == []
    for leg in (read[1], read[2], any_ca[2], any_ca[5], stolen[2], wrong[4], wrong[5]):
        assert gave(leg) == [CLIENT_IDENTITY]
        assert [call["method"] for call in leg["evidence"]["calls"]] == [GET_USER]
    # Without a key of a client, what was read is not relayed, unless the server takes any.
    assert "has no client certificate" in read[1]["evidence"]["server_refused"]
    assert "the attacker's client certificate" in any_ca[2]["evidence"]["server_refused"]
    assert served(read[1]) == served(any_ca[2]) == []
    for leg in (any_ca[5], stolen[2], wrong[4], wrong[5]):
        assert leg["evidence"]["server_refused"] == ""
    assert [status for status, _ in served(any_ca[5])] == ["OK"]
    # The server knows the attacker by the certificate that it has stolen, and by nothing else.
    assert served(stolen[2]) == [("OK", CLIENT_IDENTITY)]
    assert [status for status, _ in served(wrong[4])] == ["OK"]
    assert [status for status, _ in served(wrong[5])] == ["PERMISSION_DENIED"]
    assert {identity for leg in wrong[4:] for _, identity in served(leg)} == {WIKI}


# What a developer of that stack would have to touch.
TO_TOUCH = {
    "cpp": "NoOpCertificateVerifier",
    "go": "InsecureSkipVerify",
    "java": "InsecureTrustManagerFactory",
    "node": "rejectUnauthorized",
    "python": "ssl_channel_credentials",
    "python-asyncio": "CERT_NONE",
    "rust": "ServerCertVerifier",
}


def test_the_fix_is_told_in_the_words_of_the_stack(client: Client) -> None:
    words = ("run", "skip-verify", "--details", "--client", client.name, "--timeout", "30")
    lesson, screen = mitm_demo(*words).out.partition("How to fix it")[2].split("\nFix: ")
    assert TO_TOUCH[client.name] in screen
    # The lesson is in grpcio already.
    assert ("In this client: " in lesson) == (client.name != "python")


# Of each kind of mistake one or two, and what must be looked at to see it; "" is no mistake.
SEEN_BY = {
    "attacker-ca": "issuer",
    "self-signed": "issuer",
    "imitated-ca": "issuer",
    "forged-intermediate": "path",
    "leaf-as-ca": "path",
    "name-not-permitted": "path",
    "wrong-host": "name",
    "expired": "dates",
    "not-yet-valid": "dates",
    "eku-client-auth": "purpose",
    "other-key": "possession",
    "plaintext-http2": "TLS",
    "intermediate": "",
}
EVERYTHING = {"issuer", "path", "name", "dates", "purpose", "possession", "TLS"}
LOOKS_AT: dict[Policy, set[str]] = {
    "ca-file": EVERYTHING,
    "system-roots": EVERYTHING,
    "skip-hostname": EVERYTHING - {"name"},
    # That the server has the key to what it shows is part of the handshake (RFC 8446, 4.4.3).
    "skip-verify": {"possession", "TLS"},
}

# What differs by stack. In rustls, whoever writes a verifier is asked for that as well, and one
# that says yes to everything says it there, too.
DIFFERS: dict[tuple[str, Policy], set[str]] = {("rust", "skip-verify"): {"TLS"}}

# grpcio has no switch: its users fetch the certificate, and call it trusted. Who signed it is not
# asked, name and dates are looked at; of the rest its documentation says nothing.
FIRST_USE = {
    "attacker-ca": "vulnerable",
    "self-signed": "vulnerable",
    "wrong-host": "pass",
    "expired": "pass",
    "not-yet-valid": "pass",
}


@pytest.mark.parametrize("policy", ["no-ca", *LOOKS_AT, "pinned", "pinned-key"])
def test_a_dozen_certificates_are_taken_or_refused_as_the_policy_says(
    client: Client, policy: Policy
) -> None:
    if (client.name, policy) in UNSUPPORTED:
        pytest.skip("it is not supported")
    report = asyncio.run(_audit(client, policy, [*SEEN_BY]))
    if policy == "no-ca":
        # Not even the genuine server: its CA is none of the public ones.
        assert [each.outcome for each in report.controls] == ["too-strict"]
        return
    assert report.conclusive, report.controls
    found = {finding.case.name: finding.outcome for finding in report.findings}
    if (client.name, policy) == ("python", "skip-verify"):
        assert FIRST_USE.items() <= found.items()
        return
    looks_at = DIFFERS.get((client.name, policy), LOOKS_AT.get(policy))
    expected = {}
    for finding in report.findings:
        name = finding.case.name
        # A pin takes the one certificate, or the one key, that none of these has.
        refuses = looks_at is None or SEEN_BY[name] in looks_at
        right = finding.case.expect == ("reject" if refuses else "accept")
        wrong = "too-strict" if refuses else "vulnerable"
        expected[name] = "pass" if right else wrong
    assert found == expected
    assert {*found} == {*SEEN_BY}


@pytest.mark.parametrize("policy", ["ca-file", "skip-verify"])
def test_a_forgery_on_one_connection_of_several_is_seen(client: Client, policy: Policy) -> None:
    report = asyncio.run(_audit(client, policy, ["first-connection", "second-connection"]))
    assert report.conclusive, report.controls
    outcomes = {finding.case.name: finding.outcome for finding in report.findings}
    if policy == "ca-file":
        # A client that has not come again has nothing more to be attacked by.
        assert {*outcomes.values()} <= {"pass", "not-exercised"}
    elif client.name != "python":
        # Its only connection is the first.
        assert outcomes["first-connection"] == "vulnerable"


async def _audit(client: Client, policy: Policy, names: list[str]) -> Report:
    suite = forge_suite(select(catalogue(), names, ()), LONG_NAME)
    async with BatchClient(client, policy, SECONDS) as batch, stand_in() as server:
        return await run_audit(suite, batch, server, subject=batch.subject, jobs=2)
