"""docs/learn.md: its commands work, and its table is that of the exercises."""

import re
from pathlib import Path

from mitm.learn.exercise import load_exercises
from mitm.learn.stack import stacks
from tests.learn.test_command import learn

PAGE = Path(__file__).resolve().parents[2] / "docs" / "learn.md"
_BLOCK = re.compile(r"^```text\n(mitm-demo learn list.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_work_in_a_learners_folder(tmp_path: Path) -> None:
    assert learn(tmp_path, "start", "mitm").code == 0
    (block,) = _BLOCK.findall(PAGE.read_text())
    commands = [line.partition(" #")[0].split()[2:] for line in block.splitlines()]
    assert len(commands) >= 5
    for words in commands:
        # Unsolved, it is red; and the quiz is for a terminal.
        codes = {"check": (1,), "quiz": (0, 2)}.get(words[0], (0,))
        result = learn(tmp_path / "mitm", *words)
        assert result.code in codes, (words, result)


def test_the_table_of_the_page_is_that_of_the_exercises() -> None:
    page, known = PAGE.read_text(), stacks()
    for exercise in load_exercises():
        titles = " · ".join(known[name].title for name in known if name in exercise.stacks)
        row = f"| {exercise.order} | [{exercise.title}](../exercises/{exercise.name}/README.md) |"
        lines = [line for line in page.splitlines() if line.startswith(row)]
        assert len(lines) == 1, f"give it a row in docs/learn.md: {row}"
        assert lines[0].endswith(f"| {titles} |"), f"its stacks in docs/learn.md are: {titles}"
