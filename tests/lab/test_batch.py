"""A client whose processes are kept, and what it is judged by when it breaks."""

import asyncio
from pathlib import Path

import pytest

from mitm.audit import Report, certificates, forge_suite, run_audit, select, stand_in
from mitm.lab.audited import AuditedClient
from mitm.lab.batch import BatchClient
from mitm.lab.clients import Client, load_client
from tests.programs import client_folder

NAMES = ["attacker-ca", "wrong-host", "expired", "ip-san", "intermediate"]

# Answers as a client does that connects to nobody, and tells its number and environment.
ANSWERS = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    {body}
    print(json.dumps(answer), flush=True)
"""


async def audited(client: AuditedClient) -> Report:
    suite = forge_suite(select(certificates(), NAMES, ()))
    async with stand_in() as server:
        return await run_audit(suite, client, server, subject=client.subject, jobs=2)


def own(folder: Path, body: str, policy: str = "ca-file") -> Client:
    program = body if "import" in body else ANSWERS.format(body=body)
    client_folder(folder, program, policy)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("policies:", "batch: true\npolicies:"))
    return load_client(str(folder))


@pytest.mark.parametrize("policy", ["ca-file", "skip-verify", "system-roots"])
def test_one_process_comes_to_the_same_as_one_for_each(policy: str) -> None:
    client = load_client("python")

    async def both() -> list[dict[str, str]]:
        async with BatchClient(client, policy, 20) as batch:
            kept = await audited(batch)
        anew = await audited(AuditedClient(client, policy, 20))
        return [
            {each.case.name: each.outcome for each in (*report.controls, *report.findings)}
            for report in (kept, anew)
        ]

    kept, anew = asyncio.run(both())
    assert kept == anew
    assert kept["genuine"] == "pass"
    assert kept["attacker-ca"] == ("vulnerable" if policy == "skip-verify" else "pass")
