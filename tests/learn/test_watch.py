"""`mitm-demo learn` on a terminal: predict, be attacked, mend, turn green, go on."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.learn.terminal import Terminal
from tests.learn.test_command import NAME, learn, put
from tests.programs import MITM_DEMO, gone, refused

# It tells that it runs, by a pipe, and then goes on for ever.
WAITING = """
import os, signal
with open({fifo!r}, "w") as fifo:
    fifo.write(str(os.getpid()))
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A learner's folder in which all but exercise 2 is green already."""
    folder = tmp_path / "mitm"
    assert learn(tmp_path, "start", "mitm").code == 0
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0].isdigit())
    others = ", ".join(f'"{name}": {{"state": "green"}}' for name in names if name != NAME)
    memory = f'{{"stack": "python", "exercises": {{{others}}}}}'
    (folder / ".learn" / "progress.json").write_text(memory)
    return folder


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    """A learner before it."""
    with Terminal([MITM_DEMO, "learn"], folder) as terminal:
        yield terminal


def test_a_learner_predicts_mends_sees_it_turn_green_and_is_done(
    folder: Path, terminal: Terminal
) -> None:
    terminal.until("press 1 or 2 or 3")
    terminal.press("1")
    assert "opens-nothing-5ec4e700" in terminal.until("q end")
    assert "you said 1" in terminal.seen
    terminal.press("h")
    terminal.until("hint 1 of 3")
    terminal.press("l")
    terminal.until("1 try, 1 hints")
    put(folder, "wrong-refuses-all")
    terminal.until("nothing is proved")
    put(folder, "solution")
    assert "green" in terminal.until("n goes on")
    terminal.press("n")
    terminal.until("All exercises are green")
    assert terminal.end() == 0


def test_a_change_in_the_middle_of_a_check_is_checked_in_its_place(
    folder: Path, terminal: Terminal, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    terminal.until("press 1 or 2 or 3")
    (folder / NAME / "client.py").write_text(WAITING.format(fifo=str(fifo)))
    terminal.press("3")
    waiting = int(fifo.read_text())
    put(folder, "solution")
    terminal.until("changed meanwhile")
    terminal.until("n goes on")
    assert gone(waiting)


@pytest.mark.parametrize("how", ["q", "\x03", "terminated"])
def test_whoever_leaves_in_the_middle_of_a_check_leaves_nothing_running(
    folder: Path, terminal: Terminal, tmp_path: Path, how: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    terminal.until("press 1 or 2 or 3")
    (folder / NAME / "client.py").write_text(WAITING.format(fifo=str(fifo)))
    terminal.press("3")
    waiting = int(fifo.read_text())
    assert not terminal.echoes
    if how == "terminated":
        os.kill(terminal.pid, signal.SIGTERM)
    else:
        terminal.press(how)
    assert terminal.end() == (1 if how == "q" else 130)
    assert terminal.echoes
    assert gone(waiting)
    assert "Traceback" not in terminal.seen
    # Not at the end of its time, when there would have been something to tell.
    assert "nothing is proved" not in terminal.seen
    assert learn(folder, "list").code == 0


def test_files_that_are_removed_and_come_again_are_told_and_checked(
    folder: Path, terminal: Terminal
) -> None:
    terminal.until("press 1 or 2 or 3")
    terminal.press("2")
    terminal.until("q end")
    shutil.move(folder / NAME, folder / "elsewhere")
    terminal.until("learn reset 2 brings it back")
    shutil.move(folder / "elsewhere", folder / NAME)
    terminal.until("it took attacker-ca")
    terminal.press("q")
    assert terminal.end() == 1


def test_two_at_once_are_told_and_a_single_check_is_free_to_go(
    folder: Path, terminal: Terminal
) -> None:
    terminal.until("press 1 or 2 or 3")
    with Terminal([MITM_DEMO, "learn"], folder, columns=250) as other:
        assert other.end() == 2
        assert "another mitm-demo learn watches" in other.seen
    assert learn(folder, "check", "2").code == 1
    assert refused(learn(folder, "check", "99"))
    terminal.press("q")
    assert terminal.end() == 1


def test_whoever_passes_on_comes_back_to_what_is_open(folder: Path, terminal: Terminal) -> None:
    terminal.until("press 1 or 2 or 3")
    terminal.press("n")
    terminal.until("q end")
    terminal.press("n")
    terminal.until("Encrypted, to whoever is there")
    terminal.press("q")
    assert terminal.end() == 1
