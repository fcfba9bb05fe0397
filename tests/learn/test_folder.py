"""A learner's folder: what is laid out, what counts as a change, and what is remembered."""

import json
import threading
from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.learn.course import begin
from mitm.learn.exercise import load_exercise, load_exercises
from mitm.learn.folder import Folder
from mitm.learn.stack import stacks

EXERCISE = next(exercise for exercise in load_exercises() if exercise.order == 2)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return begin(Folder(tmp_path / "mitm"), "python").folder


def test_a_change_is_one_of_contents_and_not_of_what_tools_leave(folder: Folder) -> None:
    file = folder.place(EXERCISE) / "client.py"
    before = folder.digest(EXERCISE)
    file.write_text(file.read_text())
    (file.parent / "__pycache__").mkdir()
    (file.parent / "__pycache__" / "client.pyc").write_text("compiled")
    for name in (".client.py.swp", "client.py~", "#client.py#", "4913"):
        (file.parent / name).write_text("an editor's")
    assert folder.digest(EXERCISE) == before
    file.write_text(file.read_text() + "#")
    changed = folder.digest(EXERCISE)
    assert changed != before
    (file.parent / "more.py").write_text("")
    assert folder.digest(EXERCISE) not in (before, changed)


def test_a_large_file_is_looked_at_from_outside(folder: Folder) -> None:
    large = folder.place(EXERCISE) / "core.dump"
    with large.open("wb") as file:
        file.truncate(10 * 1024**3)
    before = folder.digest(EXERCISE)
    with large.open("ab") as file:
        file.write(b"more")
    assert folder.digest(EXERCISE) != before


def test_a_link_is_replaced_and_not_written_through(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text("mine")
    file = folder.place(EXERCISE) / "client.py"
    file.unlink()
    file.symlink_to(elsewhere)
    folder.reset(EXERCISE, stacks()["python"])
    assert elsewhere.read_text() == "mine"
    assert "sys.argv" in file.read_text()


def test_what_cannot_be_reset_is_a_users_error(folder: Folder) -> None:
    file = folder.place(EXERCISE) / "client.py"
    file.unlink()
    file.mkdir()
    with pytest.raises(UserError, match="folder in the place"):
        folder.reset(EXERCISE, stacks()["python"])


def test_two_that_remember_at_once_lose_nothing(folder: Folder) -> None:
    def remember() -> None:
        for _ in range(20):
            with folder.remembering(EXERCISE) as progress:
                progress.tries += 1

    threads = [threading.Thread(target=remember) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.memory().of(EXERCISE).tries == 60


def test_laying_out_that_fails_leaves_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Folder, "_write", fail)
    with pytest.raises(UserError, match="No space left"):
        begin(Folder(tmp_path), "python")
    assert list(tmp_path.iterdir()) == []


def test_every_stack_is_laid_out_with_its_own_files_and_what_is_missing_in_python(
    tmp_path: Path,
) -> None:
    known = stacks()
    for name in known:
        folder = begin(Folder(tmp_path / name), name).folder
        assert json.loads((folder.kept / "progress.json").read_text())["stack"] == name
        for exercise in load_exercises():
            stack = name if name in exercise.stacks else "python"
            files = {path.name for path in folder.place(exercise).iterdir()}
            assert files == {path.name for path in (exercise.folder / stack).iterdir()}


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("answer: 3", "answer: 4", "there are 3 choices"),
        ("kind: client", "kind: essay", "essay"),
        ("refuse: [attacker-ca", "refuses: [attacker-ca", "refuse"),
        ("    python: 'verify", "    cobol: 'verify", "none for python"),
        ("## Scene", "## Prologue", "## Scene"),
        ("order: 2", "ordre: 2", "ordre"),
    ],
)
def test_an_exercise_that_is_not_well_formed_is_told_with_its_file(
    tmp_path: Path, was: str, becomes: str, says: str
) -> None:
    text = (EXERCISE.folder / "README.md").read_text()
    assert was in text
    (tmp_path / "python").mkdir()
    (tmp_path / "README.md").write_text(text.replace(was, becomes))
    with pytest.raises(UserError, match=says) as caught:
        load_exercise(tmp_path)
    assert str(tmp_path) in str(caught.value)
