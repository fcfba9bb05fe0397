"""`action.yml`: its steps, run as a runner of GitHub's would, as far as that can be done here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import LIMIT, MITM_DEMO, Result

ROOT = Path(__file__).resolve().parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
PAGE = (ROOT / "docs" / "ci.md").read_text()

SOUND = "mitm-demo call --policy ca-file --ca {ca} --target {target}"
CARELESS = "mitm-demo call --policy skip-verify --target {target}"
ONLY = "--only attacker-ca,wrong-host"

# Stands in for Python: it notes what is installed, and installs nothing.
PYTHON = """#!/bin/sh
case "$1" in
  -c) exit "${TOO_OLD:-0}" ;;
  -m) mkdir -p "$4/bin"; printf '#!/bin/sh\\nprintf "%%s " "$@" >>"%s"\\n' "$NOTES" >"$4/bin/pip"
      chmod +x "$4/bin/pip" ;;
esac
"""


def step(name: str) -> dict[str, Any]:
    (found,) = (each for each in STEPS if each["name"] == name)
    return found


def run_step(folder: Path, name: str, inputs: dict[str, str], **environment: str) -> Result:
    """Run the script of a step, with its inputs in its environment, in a folder."""
    told = {
        key: inputs.get(re.sub(r"^\$\{\{ inputs\.([\w-]+) \}\}$", r"\1", value), "")
        for key, value in step(name)["env"].items()
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    script = folder / "step.sh"
    script.write_text(step(name)["run"])
    done = subprocess.run(
        # As the documentation of `shell: bash` has it.
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=folder,
        check=False,
        env=kept
        | {
            "PATH": f"{Path(MITM_DEMO).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "250",
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }
        | told
        | environment,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A runner's folder, with mitm-demo installed as the first step would."""
    binaries = tmp_path / "temp" / "mitm-demo" / "bin"
    binaries.mkdir(parents=True)
    for name, program in (("python", sys.executable), ("mitm-demo", MITM_DEMO)):
        (binaries / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        (binaries / name).chmod(0o755)
    return tmp_path


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "output").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


# The file


def test_it_is_a_composite_action_whose_outputs_are_of_its_steps() -> None:
    assert ACTION["runs"]["using"] == "composite"
    ids = {each["id"] for each in STEPS if "id" in each}
    for output in ACTION["outputs"].values():
        match = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.[\w-]+ \}\}", output["value"])
        assert match
        assert match[1] in ids
    for each in STEPS:
        assert ("run" in each) == ("shell" in each)


def test_no_input_becomes_part_of_a_script() -> None:
    for each in STEPS:
        assert "${{" not in each.get("run", ""), each["name"]
    used = set(re.findall(r"inputs\.([\w-]+)", yaml.safe_dump(STEPS)))
    assert used == {*ACTION["inputs"]}


def test_results_of_forks_are_not_uploaded() -> None:
    (upload,) = (each for each in STEPS if "uses" in each)
    assert "always()" in upload["if"]
    assert "!github.event.pull_request.head.repo.fork" in upload["if"]


# Its steps


@pytest.mark.parametrize(
    ("command", "code"), [(SOUND, 0), (CARELESS, 1), ("true", 3), ("./no-such-client", 2)]
)
def test_the_job_ends_as_the_audit_does(runner: Path, command: str, code: int) -> None:
    result = run_step(runner, "Audit", {"command": command, "args": ONLY})
    assert result.code == code, result
    told = outputs(runner)
    assert told["exit-code"] == str(code)
    if code == 2:
        assert {*told} == {"exit-code"}
        return
    (run,) = json.loads(Path(told["sarif"]).read_text())["runs"]
    assert run["invocations"][0]["exitCode"] == code
    assert Path(told["junit"]).read_text().startswith("<?xml")
    assert f"**Exit code {code}, " in (runner / "summary.md").read_text()


def test_words_are_split_as_a_shell_splits_them_and_nothing_more_is_done(runner: Path) -> None:
    (runner / "my client").write_text(f'#!/bin/sh\necho "$@" >"{runner}/given"\n')
    (runner / "my client").chmod(0o755)
    command = "'./my client' \"two words\" $(touch made) `touch made`; touch made\n| touch made"
    run_step(runner, "Audit", {"command": command, "args": ONLY})
    assert not (runner / "made").exists()
    given = (runner / "given").read_text()
    assert given == "two words $(touch made) `touch made`; touch made | touch made\n"


@pytest.mark.parametrize(
    "inputs",
    [
        {"command": "'", "args": ""},
        {"command": SOUND, "args": '"'},
        {"command": SOUND, "args": "--nope"},
        {"command": "", "args": ""},
    ],
    ids=str,
)
def test_wrong_input_ends_the_job_in_a_line(runner: Path, inputs: dict[str, str]) -> None:
    result = run_step(runner, "Audit", inputs)
    assert result.code == 2
    assert outputs(runner) == {"exit-code": "2"}
    assert "Traceback" not in result.err + result.out


def install(folder: Path, version: str, **environment: str) -> tuple[Result, str]:
    """What came of the first step, and what it would have installed."""
    programs, notes = folder / "programs", folder / "notes"
    programs.mkdir()
    (programs / "python3").write_text(PYTHON)
    (programs / "python3").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    inputs = {"version": version}
    result = run_step(
        folder, "Install mitm-demo", inputs, PATH=path, NOTES=str(notes), **environment
    )
    return result, notes.read_text() if notes.exists() else ""


def test_it_installs_its_own_revision_with_hashes(tmp_path: Path) -> None:
    result, installed = install(tmp_path, "")
    assert result.code == 0, result
    assert f"--require-hashes --requirement {ROOT}/constraints-run.txt" in installed
    assert installed.endswith(f"--no-deps --no-build-isolation {ROOT} ")
    assert (ROOT / "constraints-run.txt").is_file()


def test_it_installs_a_release_if_one_is_named(tmp_path: Path) -> None:
    result, installed = install(tmp_path, "1.2.3rc1")
    assert (result.code, installed) == (0, "install --quiet mitm-demo==1.2.3rc1 ")


@pytest.mark.parametrize("version", ["1 --index-url=x", "$(touch made)", "1;touch made", "1\n2"])
def test_what_is_no_version_is_refused(tmp_path: Path, version: str) -> None:
    result, installed = install(tmp_path, version)
    assert (result.code, installed) == (2, "")
    assert not (tmp_path / "made").exists()


def test_an_old_python_is_told(tmp_path: Path) -> None:
    result, installed = install(tmp_path, "", TOO_OLD="1")
    assert (result.code, installed) == (2, "")
    assert "actions/setup-python" in result.out


# The page about it


def test_what_the_page_shows_is_yaml_and_fits_the_action() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    used = 0
    for block in blocks:
        for each in _mappings(yaml.safe_load(block)):
            if "mitm-demo@" in str(each.get("uses", "")):
                used += 1
                assert {*each["with"]} <= {*ACTION["inputs"]}
    assert used
    for name in ACTION["outputs"]:
        assert f"`{name}`" in PAGE


def _mappings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in _mappings(each))]
    if isinstance(value, list):
        return [found for each in value for found in _mappings(each)]
    return []
