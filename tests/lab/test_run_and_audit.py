"""`run` and `audit` have one line: what a client does with a certificate is told alike by both."""

import asyncio
from pathlib import Path

import pytest

from mitm import content
from mitm.audit import Finding, certificates, forge_suite, run_audit, stand_in
from mitm.errors import UserError
from mitm.lab.audited import AuditedClient
from mitm.lab.cast import ClientRole, InterceptorRole, ServerRole
from mitm.lab.clients import load_client
from mitm.lab.play import Playing
from mitm.lab.policies import Policy
from mitm.lab.scenario import Leg, Scenario
from mitm.lab.stage import Stage
from mitm.pki import Recipe

CARELESS = str(Path(__file__).parent / "careless")
SECONDS = 20.0

RECIPES = {recipe.name: recipe for recipe in certificates()}

# What both say of it, in a word.
BY_VERDICT = {
    "compromised": "accepted",
    "exposed": "accepted",
    "aborted": "rejected",
    "inconclusive": "undecided",
    "unreached": "undecided",
}


def by_outcome(finding: Finding) -> str:
    match finding.outcome, finding.case.expect:
        case ("vulnerable", _) | ("pass", "accept"):
            return "accepted"
        case ("too-strict", _) | ("pass", "reject"):
            return "rejected"
        case ("unsupported", _):
            return "unsupported"
    return "undecided"


def scenario(recipe: Recipe, policy: Policy) -> Scenario:
    return Scenario(
        name=recipe.name,
        title="",
        order=0,
        cast=(
            ClientRole("client", policy),
            InterceptorRole(recipe.name, recipe.name),
            ServerRole("server"),
        ),
        legs=(
            Leg(("client", "server"), "connected"),
            Leg(("client", recipe.name, "server"), "aborted"),
        ),
        point="",
        fix="",
        lesson="",
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("client", "policy", "accepts", "rejects"),
    [
        ("python", "ca-file", {"genuine"}, {"attacker-ca", "wrong-host", "ip-mismatch"}),
        (CARELESS, "ca-file", {"genuine", "wrong-host", "ip-mismatch"}, {"attacker-ca"}),
        (CARELESS, "skip-verify", {"wrong-host", "ip-mismatch", "attacker-ca"}, {"tls-1.1"}),
    ],
    ids=["verifies", "no names", "nothing"],
)
def test_the_whole_certificates_comes_out_alike(
    client: str, policy: Policy, accepts: set[str], rejects: set[str]
) -> None:
    described = load_client(client)

    async def by_run() -> dict[str, str]:
        said = {}
        async with Stage.prepared(scenario(RECIPES["genuine"], policy).cast) as stage:
            for name, recipe in RECIPES.items():
                script = scenario(recipe, policy)
                playing = Playing(script, described, SECONDS, on_event=lambda event: None)
                if name == "genuine":
                    control = await playing.leg(stage, 0, script.legs[0])
                    assert control.result
                    assert control.result.verdict == "connected", control
                try:
                    came = await playing.leg(stage, 1, script.legs[1])
                except UserError:
                    said[name] = "unsupported"
                    continue
                assert came.result
                said[name] = BY_VERDICT[came.result.verdict]
        return said

    async def by_audit() -> dict[str, str]:
        async with AuditedClient(described, policy, SECONDS) as audited, stand_in() as upstream:
            report = await run_audit(
                forge_suite(RECIPES.values()), audited, upstream, subject=audited.subject, jobs=2
            )
        assert report.conclusive, report.controls
        # That a certificate has crashed the client is told beside what it came to.
        judged = [finding for finding in report.findings if finding.outcome != "crashed"]
        told = {finding.case.name: by_outcome(finding) for finding in judged}
        return told | {"genuine": by_outcome(report.controls[0])}

    async def both() -> tuple[dict[str, str], dict[str, str]]:
        return await by_run(), await by_audit()

    ran, audited = asyncio.run(both())
    assert ran == audited
    # They agree on something: each client lets in what it is made to let in, and nothing else.
    assert {ran[name] for name in accepts} == {"accepted"}
    assert {ran[name] for name in rejects} <= {"rejected", "unsupported"}
    assert "undecided" not in ran.values()


def test_every_certificate_of_the_certificates_is_among_them() -> None:
    assert set(RECIPES) == set(content.markdown_files(content.CERTS))
