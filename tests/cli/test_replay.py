"""`mitm-demo replay`: a run is shown again as it was."""

import json
import subprocess
from pathlib import Path

import pytest

from mitm.capture import JsonLines
from tests.capture.samples import SAMPLES
from tests.programs import LIMIT, MITM_DEMO, mitm_demo, refused


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The events of a run, and what it has shown."""
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    result = mitm_demo("run", "skip-verify", "ca-file", "--details", "--events", path)
    assert result.code == 0, result.err
    assert "2 of 2 scenarios came out as expected." in result.out
    return path, result.out


def test_a_run_is_shown_again_to_the_letter(recorded: tuple[Path, str]) -> None:
    path, shown = recorded
    result = mitm_demo("replay", path)
    assert (result.code, result.out, result.err) == (0, shown, "")


def test_a_run_is_shown_again_from_a_pipe(recorded: tuple[Path, str]) -> None:
    path, shown = recorded
    with path.open() as lines:
        done = subprocess.run(
            [MITM_DEMO, "replay", "-"],
            stdin=lines,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env={"COLUMNS": "250"},
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_a_credential_stays_masked(recorded: tuple[Path, str], tmp_path: Path) -> None:
    path, shown = recorded
    (token,) = {
        value.removeprefix("Bearer ")
        for line in path.read_text().splitlines()
        for name, value in json.loads(line).get("headers", ())
        if name == "authorization"
    }
    # The lab's own opens nothing, and says so.
    assert token in shown
    other = tmp_path / "other.jsonl"
    other.write_text(path.read_text().replace(token, "s3cret-of-somebody-else"))
    told = mitm_demo("replay", other).out
    assert "Bearer s3cr… (23 characters, masked)" in told
    assert "s3cret-of-somebody-else" not in told


def test_a_file_that_is_cut_is_shown_up_to_there(
    recorded: tuple[Path, str], tmp_path: Path
) -> None:
    path, shown = recorded
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(path.read_bytes()[:-20])
    result = mitm_demo("replay", cut)
    number = len(path.read_bytes().splitlines())
    assert f"{cut}: line {number} is cut off: " in refused(result)
    assert shown.startswith(result.out)
    assert "ca-file: " in result.out


def test_what_proxy_has_recorded_is_shown_as_it_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    for event in SAMPLES:
        if event.connection:
            log(event)
    log.close()
    result = mitm_demo("replay", path)
    assert result.code == 0, result.err
    assert "SETTINGS ACK" not in result.out
    assert "\n#1 COMPROMISED  read: /users.v1.UserService/GetUser; the server refused" in result.out
    verbose = mitm_demo("replay", path, "--verbose")
    assert "SETTINGS ACK" in verbose.out


def test_an_empty_file_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    result = mitm_demo("replay", tmp_path / "empty.jsonl")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_file_that_is_not_there_is_named() -> None:
    assert "'/nowhere/events.jsonl': No such file" in refused(
        mitm_demo("replay", "/nowhere/events.jsonl")
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", "\x1b[2J[bold]"), ("point", "\x1b[2J"), ("fix", "\x1b[2J"), ("client", "\x1b[2J")],
)
def test_a_file_of_anybodys_cannot_command_the_terminal(
    recorded: tuple[Path, str], tmp_path: Path, field: str, value: str
) -> None:
    path, _ = recorded
    crafted = tmp_path / "crafted.jsonl"
    with crafted.open("w") as file:
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if isinstance(event.get(field), str):
                event[field] = value
            file.write(json.dumps(event) + "\n")
    result = mitm_demo("replay", crafted)
    assert result.code == 0, result.err
    assert "\x1b" not in result.out


def test_a_leg_without_its_result_is_told(recorded: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = recorded
    crafted = tmp_path / "crafted.jsonl"
    with crafted.open("w") as file:
        for line in path.read_text().splitlines():
            event = json.loads(line)
            event.pop("client", None) if event["event"] == "leg-ended" else None
            file.write(json.dumps(event) + "\n")
    assert "a leg ends without its result" in refused(mitm_demo("replay", crafted))
