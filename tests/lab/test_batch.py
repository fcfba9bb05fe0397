"""A client whose processes are kept, and what it is judged by when it breaks."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from mitm import content
from mitm.audit import (
    Finding,
    Report,
    catalogue,
    certificates,
    forge_suite,
    run_audit,
    select,
    stand_in,
)
from mitm.lab.audited import AuditedClient
from mitm.lab.batch import BatchClient
from mitm.lab.client_run import PolicyUnsupported
from mitm.lab.clients import Client, load_client
from tests.programs import client_folder, gone

NAMES = ["attacker-ca", "wrong-host", "expired", "ip-san", "intermediate"]

# The client in Python, with something of its own.
WRAPPED = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, CLIENT)
import client
here = Path(__file__).parent
well = client.answered
{body}
client.answered = answered
sys.exit(client.main())
"""


async def audited(client: AuditedClient, jobs: int = 2) -> Report:
    suite = forge_suite(select(certificates(), NAMES, ()))
    async with stand_in() as server:
        return await run_audit(suite, client, server, subject=client.subject, jobs=jobs)


def own(folder: Path, body: str, policy: str = "ca-file") -> Client:
    program = WRAPPED.format(body=body).replace("CLIENT", repr(str(content.CLIENTS / "python")))
    client_folder(folder, program, policy)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("policies:", "batch: true\npolicies:"))
    return load_client(str(folder))


def outcomes(client: Client, *, seconds: float = 20, jobs: int = 1) -> dict[str, Finding]:
    async def all_of_them() -> Report:
        async with BatchClient(client, client.policies[0], seconds) as batch:
            return await audited(batch, jobs)

    report = asyncio.run(all_of_them())
    return {each.case.name: each for each in (*report.controls, *report.findings)}


@pytest.mark.parametrize("policy", ["ca-file", "skip-verify", "system-roots", "mutual-tls"])
def test_one_process_comes_to_the_same_as_one_for_each(policy: str) -> None:
    client = load_client("python")

    async def both() -> list[dict[str, str]]:
        async with BatchClient(client, policy, 20) as batch:
            kept = await audited(batch)
        async with AuditedClient(client, policy, 20) as alone:
            anew = await audited(alone)
        return [
            {each.case.name: each.outcome for each in (*report.controls, *report.findings)}
            for report in (kept, anew)
        ]

    kept, anew = asyncio.run(both())
    assert kept == anew
    assert kept["genuine"] == "pass"
    assert kept["attacker-ca"] == ("vulnerable" if policy == "skip-verify" else "pass")


COUNTS = """
def answered(words):
    with (here / "asked").open("a") as file:
        print(os.getpid(), os.environ.get("SSL_CERT_FILE", ""), file=file)
    return well(words)
"""


@pytest.mark.parametrize("policy", ["ca-file", "system-roots"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_there_are_as_many_processes_as_there_are_questions_at_once(
    tmp_path: Path, policy: str, jobs: int
) -> None:
    found = outcomes(own(tmp_path / "own", COUNTS, policy), jobs=jobs)
    assert {each.outcome for each in found.values()} == {"pass"}
    lines = (tmp_path / "own" / "asked").read_text().splitlines()
    # The control comes twice.
    assert len(lines) == len(NAMES) + 2
    pids = {int(line.split()[0]) for line in lines}
    assert len(pids) <= jobs
    assert gone(*pids)


def test_what_a_case_plants_in_the_environment_is_for_a_process_of_its_own(tmp_path: Path) -> None:
    suite = forge_suite(select(catalogue(), ["ca-missing"], ()))

    async def audit() -> None:
        client = own(tmp_path / "own", COUNTS)
        async with BatchClient(client, "ca-file", 20) as batch, stand_in() as server:
            await run_audit(suite, batch, server, subject=batch.subject)

    asyncio.run(audit())
    lines = [line.split() for line in (tmp_path / "own" / "asked").read_text().splitlines()]
    planted = {pid for pid, *store in lines if store}
    assert planted
    assert not planted & {pid for pid, *store in lines if not store}


FLAWS = """
def answered(words):
    number = here / "number"
    count = int(number.read_text()) + 1 if number.exists() else 0
    number.write_text(str(count))
    if count == 1:
        {flaw}
    return well(words)
"""


@pytest.mark.parametrize(
    ("flaw", "outcome", "said"),
    [
        ("os.abort()", "inconclusive", "SIGABRT"),
        ("sys.exit(9)", "inconclusive", "the client exited with 9"),
        ("os.kill(os.getpid(), 9)", "inconclusive", "ended by SIGKILL"),
        ("print('good morning', flush=True); os._exit(0)", "inconclusive", "'good morning"),
        ("return {'greeting': 'hello'}", "inconclusive", "printed no answer"),
        ("return {'usage': {'message': 'no such thing'}}", "inconclusive", "no such thing"),
        ("return {'unsupported': {'policy': 'x', 'reason': 'No.'}}", "inconclusive", "No."),
        ("__import__('time').sleep(60)", "inconclusive", "did not end within"),
        # What was decrypted was decrypted, whatever the client says of it.
        ("bad(words); os.abort()", "vulnerable", "accepted; read"),
        (
            "bad(words); return {'unsupported': {'policy': 'x', 'reason': 'No.'}}",
            "vulnerable",
            "accepted; read",
        ),
        ("bad(words); return {'error': {'code': 'UNAVAILABLE'}}", "vulnerable", "accepted; read"),
    ],
)
def test_one_case_in_which_it_breaks_is_that_of_none_other(
    tmp_path: Path, flaw: str, outcome: str, said: str
) -> None:
    careless = 'def bad(words):\n    return well([*words, "--policy=skip-verify"])\n'
    found = outcomes(own(tmp_path / "own", careless + FLAWS.format(flaw=flaw)), seconds=5)
    broken = found.pop("attacker-ca")
    assert broken.outcome == outcome, broken
    assert said in broken.reason
    # That it crashed is a finding of its own.
    assert {each.outcome for name, each in found.items() if ":crash" not in name} == {"pass"}


def test_an_answer_too_many_is_not_taken_for_that_to_the_next_question(tmp_path: Path) -> None:
    talks = """
def answered(words):
    answer = well(words)
    print(json.dumps(answer))  # which goes out with the one that is asked for
    return answer
"""
    found = outcomes(own(tmp_path / "own", talks))
    assert {each.outcome for each in found.values()} == {"pass"}
    # Each was answered by what was asked: the rejected ones failed.
    assert found["attacker-ca"].said
    assert not found["intermediate"].said


@pytest.mark.parametrize("batch", [True, False])
def test_a_policy_that_the_stack_cannot_express_is_told_in_the_control(
    tmp_path: Path, batch: bool
) -> None:
    client = own(
        tmp_path / "own",
        "def answered(words):\n"
        "    return {'unsupported': {'policy': 'ca-file', 'reason': 'It cannot be had.'}}\n",
    )
    audited_client = BatchClient if batch else AuditedClient
    with pytest.raises(PolicyUnsupported, match=r"has no policy ca-file: It cannot be had\."):
        asyncio.run(audited_alone(audited_client(client, "ca-file", 20)))


async def audited_alone(client: AuditedClient) -> Report:
    if isinstance(client, BatchClient):
        async with client:
            return await audited(client)
    return await audited(client)


def test_a_client_without_batch_is_started_for_each(tmp_path: Path) -> None:
    client = replace(own(tmp_path / "own", COUNTS), batch=False)
    found = outcomes(client)
    assert {each.outcome for each in found.values()} == {"pass"}
    lines = (tmp_path / "own" / "asked").read_text().splitlines()
    assert len({line.split()[0] for line in lines}) == len(lines) == len(NAMES) + 2
