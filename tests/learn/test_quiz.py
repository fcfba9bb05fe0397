"""The quiz: taken twice, counted and compared; and what stands where answers should."""

import json
import os
import signal
import stat
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from mitm.lab.scenario import scenarios
from mitm.learn.course import begin
from mitm.learn.folder import FALLBACK, Folder
from mitm.learn.quiz import load_quiz
from tests.learn.terminal import Terminal
from tests.programs import LIMIT, MITM_DEMO, Result, refused

QUESTIONS = load_quiz()
RIGHT = [str(question.answer) for question in QUESTIONS]
# One right, one wrong, one unknown, and so on.
MIXED = [
    [RIGHT[place], str(question.answer % len(question.choices) + 1), ""][place % 3]
    for place, question in enumerate(QUESTIONS)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's folder, and the one that we are in."""
    begin(Folder(tmp_path / "mine"), FALLBACK)
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def quiz(*words: str, lines: list[str] | None = None, raw: bytes = b"") -> Result:
    """Take the quiz, with what stands on its standard input."""
    given = raw if lines is None else "".join(f"{line}\n" for line in lines).encode()
    done = subprocess.run(
        [MITM_DEMO, "learn", "quiz", *words],
        input=given,
        capture_output=True,
        timeout=LIMIT,
        env=os.environ | {"COLUMNS": "200"},
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def kept(folder: Path) -> Path:
    return folder / ".learn" / "quiz.json"


def test_there_are_eight_questions_and_no_place_is_the_right_one() -> None:
    assert len(QUESTIONS) == 8
    assert len({question.name for question in QUESTIONS}) == 8
    for question in QUESTIONS:
        assert question.scenario in scenarios()
        assert question.question.endswith("?")
        assert len({*question.choices}) == len(question.choices) >= 3
    # Who always says the same has no more than two.
    assert max(Counter(RIGHT).values()) <= 3


def test_it_is_taken_twice_and_compared(folder: Path) -> None:
    before = quiz(lines=MIXED)
    assert before.code == 0, before
    assert "before  3 of 8 right" in before.out
    # What is right is not told before the class.
    for question in QUESTIONS:
        assert question.because not in before.out
    after = quiz(lines=RIGHT)
    assert after.code == 0, after
    assert "before  3 of 8 right" in after.out
    assert "after   8 of 8 right" in after.out
    for question in QUESTIONS:
        assert question.because in after.out
    assert "see it" not in after.out
    again = quiz()
    assert again.code == 0, again
    assert [line.strip() for line in again.out.split("\n") if line.strip()] == [
        "before  3 of 8 right",
        "after   8 of 8 right",
    ]


def test_what_is_wrong_is_told_with_the_scenario_that_shows_it(folder: Path) -> None:
    assert "after   0 of 8 right" in (told := quiz("after", lines=[""] * 8)).out
    for question in QUESTIONS:
        assert f"see it: mitm-demo run {question.scenario}" in told.out
        assert question.choices[question.answer - 1] in told.out


def test_the_second_time_may_be_taken_again_and_the_first_counts(folder: Path) -> None:
    for lines in (MIXED, MIXED, RIGHT):
        assert quiz(*([] if lines is MIXED else ["after"]), lines=lines).code == 0
    assert "after   8 of 8 right" in quiz().out
    told = refused(quiz("before", lines=RIGHT))
    assert "the first time counts" in told
    assert "before  3 of 8 right" in quiz().out


def test_answers_stay_in_the_folder_and_are_nobody_elses_to_read(folder: Path) -> None:
    assert quiz(lines=RIGHT).code == 0
    answers = json.loads(kept(folder).read_text())
    assert answers["before"] == {question.name: question.answer for question in QUESTIONS}
    assert stat.S_IMODE(kept(folder).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "answer 1: there is none"),
        (b"1\n2\n", "answer 3: there is none"),
        (b"1\n5\n", "answer 2: '5' is none: a number from 1 to 4"),
        (b"0\n", "answer 1: '0' is none"),
        (b"-1\n", "answer 1: '-1' is none"),
        ("²\n".encode(), "answer 1: '²' is none"),
        ("１\n".encode(), "answer 1: '１' is none"),  # noqa: RUF001
        (b"\xff\xfe\n", "answer 1: "),
        (b"\x1b[2J\x1b]0;title\x07\n", "answer 1: "),
        (b"9" * 1_000_000, "answer 1: "),
    ],
)
def test_what_is_no_answer_is_one_line_and_nothing_is_kept(
    folder: Path, raw: bytes, said: str
) -> None:
    result = quiz(raw=raw)
    line = refused(result)
    assert said in line
    assert len(line) < 200
    assert "\x1b" not in result.out + result.err
    assert not kept(folder).exists()
    assert [path.name for path in kept(folder).parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"before": {"encrypted": "3"}}', '{"before": 3}', "\xff"]
)
def test_answers_that_cannot_be_read_are_one_line(folder: Path, text: str) -> None:
    kept(folder).write_bytes(text.encode("latin-1"))
    assert "quiz.json" in refused(quiz(lines=RIGHT))
    assert kept(folder).read_bytes() == text.encode("latin-1")


def test_answers_to_other_questions_count_for_nothing(folder: Path) -> None:
    kept(folder).write_text('{"before": {"\\u001b[2J": 1, "encrypted": 99}, "after": {}}')
    result = quiz()
    assert result.code == 0
    assert "before  0 of 8 right" in result.out
    assert "\x1b" not in result.out


def test_without_a_folder_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mitm-demo learn start" in refused(quiz(lines=RIGHT))


def test_ctrl_c_keeps_nothing(folder: Path) -> None:
    with subprocess.Popen(
        [MITM_DEMO, "learn", "quiz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"1\n1\n")
        process.stdin.flush()
        while b"3 of 8" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert not kept(folder).exists()


def test_on_a_terminal_it_asks_until_there_is_an_answer(folder: Path) -> None:
    with Terminal([MITM_DEMO, "learn", "quiz"], folder) as terminal:
        for keys in ["x\n", "7\n", "1\n"] * len(QUESTIONS):
            terminal.until("if you do not know: ")
            terminal.press(keys)
        assert terminal.end() == 0
    answers = json.loads(kept(folder).read_text())
    assert answers["before"] == {question.name: 1 for question in QUESTIONS}
