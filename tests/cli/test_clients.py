"""`mitm-demo clients`, clients of one's own in a folder, and policies that a stack has not."""

import json
from pathlib import Path

import pytest

from mitm import content
from tests.cli.test_completion import names
from tests.programs import client_folder, leg_of, mitm_demo, refused

# The client in Python, with something of its own done in its place.
WRAPPED = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {python!r})
import client
well = client.answered
here = Path(__file__).parent
first = not (here / "played").exists()
(here / "played").touch()
cannot = {{"unsupported": {{"policy": "ca-file", "reason": "A leaf is no root here."}}}}
def answered(words):
    {body}
client.answered = answered
sys.exit(client.main())
"""


def wrapped(folder: Path, body: str, policies: str = "ca-file, insecure, skip-verify") -> Path:
    python = str(content.CLIENTS / "python")
    return client_folder(folder, WRAPPED.format(python=python, body=body), policies)


REASON = "the client own has no policy ca-file: A leaf is no root here."


@pytest.fixture
def unable(tmp_path: Path) -> Path:
    """A client whose stack cannot do what `ca-file` says."""
    return wrapped(tmp_path / "own", 'return cannot if "ca-file" in words else well(words)')


def test_a_policy_that_the_stack_has_not_is_not_played_and_the_reason_is_told(
    unable: Path,
) -> None:
    result = mitm_demo("run", "ca-file", "--client", unable)
    assert result.code == 3, result
    assert f"ca-file was not played: {REASON}" in result.out
    assert "Verdict" not in result.out
    *_, line = mitm_demo("run", "insecure", "ca-file", "--json", "--client", unable).json_lines
    assert line["not_played"] == REASON


def test_beside_others_that_are_played_it_is_no_failure(unable: Path) -> None:
    result = mitm_demo("run", "--client", unable, "--json")
    assert result.code == 0, result
    told = {line["scenario"]: line.get("not_played", "played") for line in result.json_lines}
    assert told["ca-file"] == REASON
    assert told["insecure"] == told["skip-verify"] == "played"


def test_an_audit_of_it_is_refused_with_the_reason(unable: Path) -> None:
    words = ("audit", "--client", unable, "--only", "attacker-ca", "--policy")
    assert refused(mitm_demo(*words, "ca-file")) == f"mitm-demo: {REASON}"
    assert mitm_demo(*words, "skip-verify").code == 1


def test_what_was_read_of_it_counts_whatever_it_says(tmp_path: Path) -> None:
    """It says that it cannot, after it has sent everything to whoever asked."""
    lies = 'return well(words) if first else (well([*words, "--policy=skip-verify"]), cannot)[1]'
    result = mitm_demo("run", "ca-file", "--json", "--client", wrapped(tmp_path / "own", lies))
    assert result.code == 1, result
    assert leg_of(result.json_lines[0])["verdict"] == "compromised"


def test_that_it_cannot_is_no_abort_once_it_could(tmp_path: Path) -> None:
    says = "return well(words) if first else cannot"
    result = mitm_demo("run", "ca-file", "--json", "--client", wrapped(tmp_path / "own", says))
    assert result.code == 1, result
    leg = leg_of(result.json_lines[0])
    assert leg["verdict"] in ("inconclusive", "unreached")
    assert "A leaf is no root here." in leg["reason"]


@pytest.mark.parametrize("answer", ["{}", "{'unsupported': {}}", "{'unsupported': {'reason': 7}}"])
def test_exit_code_4_without_a_reason_is_a_client_that_breaks_its_contract(
    tmp_path: Path, answer: str
) -> None:
    program = f"import json, sys\nprint(json.dumps({answer}))\nsys.exit(4)\n"
    result = mitm_demo("run", "--client", client_folder(tmp_path / "own", program), "--json")
    assert result.code == 1, result
    reason = leg_of(result.json_lines[0], "genuine")["reason"]
    assert "the client exited with 4" in reason


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder of clients: one that is careful, one that is not."""
    folder = tmp_path / "ours"
    folder.mkdir()
    wrapped(folder / "careful", "return well(words)")
    careless = 'return well([w.replace("ca-file", "skip-verify") for w in words])'
    wrapped(folder / "careless", careless)
    (folder / "notes").mkdir()
    return folder


def test_a_folder_of_clients_is_named_by_clients(ours: Path) -> None:
    among = ("--clients", ours)
    assert mitm_demo("run", "ca-file", *among, "--client", "careful").code == 0
    assert mitm_demo("run", "ca-file", *among, "--client", "careless").code == 1
    audit = ("audit", *among, "--policy", "ca-file", "--only", "attacker-ca", "--client")
    assert mitm_demo(*audit, "careful").code == 0
    assert mitm_demo(*audit, "careless").code == 1
    # The project's own are there as before, and without it those are not.
    assert mitm_demo("run", "insecure", *among, "--client", "python").code == 0
    assert "unknown client 'careful'" in refused(mitm_demo("run", "--client", "careful"))
    call = ("--policy", "insecure", "--target", "localhost:1", "--client", "careful")
    assert mitm_demo("call", *among, *call).code == 1


def test_they_are_listed_and_completed(ours: Path) -> None:
    among = ("--clients", ours)
    for result in (mitm_demo("clients", *among), mitm_demo("list", "clients", *among)):
        assert result.code == 0, result
        assert all(name in result.out for name in ("careful", "careless", "python"))
    built = mitm_demo("clients", *among, "build", "careful")
    assert built.out == "careful: nothing to build\n"
    assert names(f"mitm-demo run --clients {ours} --client ca") == {"careful", "careless"}
    assert names(f"mitm-demo clients --clients {ours} build ca") == {"careful", "careless"}


def test_what_they_are_called_is_no_command_to_a_terminal(ours: Path) -> None:
    (ours / "careful").rename(ours / "\x1b[31mred")
    for words in (("clients",), ("list", "clients"), ("list",)):
        told = mitm_demo(words[0], "--clients", ours, *words[1:]).out
        assert "\x1b" not in told, words
    assert "\\x1b[31mred" in mitm_demo("list", "clients", "--clients", ours).out


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = mitm_demo("run", "--clients", tmp_path / "nowhere")
    assert result.code == 2
    assert "nowhere" in result.err


def test_the_clients_are_told_to_programs_as_well() -> None:
    lines = mitm_demo("clients", "--json").json_lines
    python = next(line for line in lines if line["name"] == "python")
    assert python["state"] == "ready"
    assert python["version"].startswith("grpcio ")
    assert {line["state"] for line in lines} <= {"ready", "not built", "missing"}, json.dumps(lines)


def test_doctor_tells_what_a_client_lacks() -> None:
    told = mitm_demo("doctor").out
    for line in mitm_demo("clients", "--json").json_lines:
        for tool in line["requires"]:
            assert f"the client {line['name']}" in told
            assert tool["program"] in told
            assert tool["missing"] in told


def test_a_client_that_is_not_there_is_told() -> None:
    line = refused(mitm_demo("clients", "build", "pyton"))
    assert "unknown client 'pyton': did you mean 'python'?" in line
