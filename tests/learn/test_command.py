"""`mitm-demo learn` as a learner types it, without a terminal."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.learn.test_exercises import SOLUTIONS
from tests.programs import LIMIT, MITM_DEMO, Result, refused

NAME = "02-skip-verify"


def learn(folder: Path, *words: str | Path, **environment: str) -> Result:
    """Run `mitm-demo learn` in a folder."""
    done = subprocess.run(
        [MITM_DEMO, "learn", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=os.environ | {"COLUMNS": "250"} | environment,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A learner's folder, laid out."""
    assert learn(tmp_path, "start", "mitm").code == 0
    return tmp_path / "mitm"


def put(folder: Path, case: str, name: str = NAME) -> None:
    """Put a case of the tests into a learner's folder."""
    for file in (SOLUTIONS / name / "python" / case).iterdir():
        shutil.copy(file, folder / name / file.name.removesuffix(".txt"))


def test_where_to_go_on_can_be_pasted(tmp_path: Path) -> None:
    laid_out = learn(tmp_path, "start", "Ada's first $ day")
    *_, command = laid_out.out.strip().partition("Go on with: ")
    cd, _, _ = command.partition(" && ")
    subprocess.run(["sh", "-c", f"{cd} && test -d {NAME}"], cwd=tmp_path, check=True)


def test_a_check_tells_what_was_read_and_how_the_mended_client_is_told_from_it(
    folder: Path,
) -> None:
    red = learn(folder, "check", "2")
    assert red.code == 1
    assert "authorization: Bearer opens-nothing-5ec4e700" in red.out
    assert "nicolas@example.com" in red.out
    assert "✗ attacker-ca" in red.out
    assert "grpcio has no switch" not in red.out, "what mends it is told when it is mended"
    put(folder, "solution")
    green = learn(folder, "check", "skip-verify")
    assert green.code == 0
    assert "✓ attacker-ca" in green.out
    assert "grpcio has no switch" in green.out
    assert "What the attacker read" not in green.out


@pytest.mark.parametrize(("case", "code"), [("wrong-refuses-all", 3), ("syntax", 3), ("other", 0)])
def test_the_exit_code_says_what_it_came_to(folder: Path, case: str, code: int) -> None:
    put(folder, case)
    result = learn(folder, "check", "2")
    assert result.code == code
    assert result.err == ""
    assert ("SyntaxError" in result.out) == (case == "syntax")


def test_in_an_empty_folder_it_begins_and_without_a_terminal_it_checks_once(tmp_path: Path) -> None:
    result = learn(tmp_path)
    assert "Laid out" in result.out
    assert (tmp_path / NAME / "client.py").is_file()
    assert result.code in (1, 3)
    # From a folder below as well.
    assert learn(tmp_path / NAME, "list").code == 0


def test_in_a_folder_of_something_else_it_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for words in ((), ("check", "2"), ("hint",), ("list",), ("reset", "all")):
        assert "mitm-demo learn start FOLDER" in refused(learn(tmp_path, *words))
    assert "something in it already" in refused(learn(tmp_path, "start"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_hints_come_in_three_steps(folder: Path) -> None:
    first, second, third, fourth = (learn(folder, "hint", "2").out for _ in range(4))
    assert ("hint 1" in first, "hint 2" in first) == (True, False)
    assert ("hint 2" in second, "hint 3" in second) == (True, False)
    assert '"--insecure" not in sys.argv' in third
    assert fourth == third


def test_reset_brings_the_files_back_and_forgets(folder: Path) -> None:
    original = (folder / NAME / "client.py").read_text()
    put(folder, "solution")
    (folder / NAME / "notes.txt").write_text("mine")
    assert learn(folder, "check", "2").code == 0
    assert learn(folder, "reset", "2").code == 0
    assert (folder / NAME / "client.py").read_text() == original
    assert (folder / NAME / "notes.txt").read_text() == "mine"
    progress = json.loads((folder / ".learn" / "progress.json").read_text())
    assert progress["exercises"][NAME] == {}


def test_files_that_are_gone_or_renamed_are_a_line_and_reset_brings_them_back(folder: Path) -> None:
    shutil.rmtree(folder / NAME)
    assert "learn reset 2 brings it back" in refused(learn(folder, "check", "2"))
    assert learn(folder, "reset", "all").code == 0
    (folder / NAME / "client.py").rename(folder / NAME / "mine.py")
    renamed = learn(folder, "check", "2")
    assert renamed.code == 3
    assert "client.py" in renamed.out


def test_a_try_is_a_version_that_was_checked(folder: Path) -> None:
    for case in ("unsolved", "unsolved", "wrong-refuses-all", "solution"):
        if case != "unsolved":
            put(folder, case)
        learn(folder, "check", "2")
    progress = json.loads((folder / ".learn" / "progress.json").read_text())
    assert progress["exercises"][NAME]["tries"] == 3
    assert progress["exercises"][NAME]["state"] == "green"


@pytest.mark.parametrize("words", [("check", "99"), ("hint", "nobody"), ("reset", "0")])
def test_an_exercise_that_is_none_is_told_in_a_line(folder: Path, words: tuple[str, ...]) -> None:
    assert NAME in refused(learn(folder, *words))


def test_an_unknown_stack_and_a_spoilt_progress_are_told_in_a_line(
    folder: Path, tmp_path: Path
) -> None:
    assert "python" in refused(learn(tmp_path, "start", "other", "--stack", "cobol"))
    assert not (tmp_path / "other").exists()
    (folder / ".learn" / "progress.json").write_text('{"stack": 1')
    assert "your files stay as they are" in refused(learn(folder, "check", "2"))


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(learn(tmp_path, "start", "file/below"))


def test_the_doctor_tells_of_each_stack_and_plays_an_exercise(tmp_path: Path) -> None:
    result = learn(tmp_path, "doctor")
    assert result.code == 0
    assert "the token leaks as it should" in result.out
    assert "grpcio" in result.out
    assert "Python" in result.out
    # What is not here is told with how to get it.
    bare = learn(tmp_path, "doctor", PATH="/nowhere")
    assert bare.code == 0
    assert list(tmp_path.iterdir()) == []
