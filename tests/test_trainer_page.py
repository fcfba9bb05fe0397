"""The page for trainers: its timetable adds up, and what it has typed and played is there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from mitm.cli.group import load
from mitm.cli.learn import learn
from mitm.lab.scenario import load_scenario
from mitm.learn.exercise import load_exercises
from mitm.learn.quiz import load_quiz

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "trainer.md").read_text()

_ROW = re.compile(r"^\| (\d):(\d\d) \| (\d+) \| \[(.+?)\]\(#(.+?)\) \|", re.MULTILINE)
_TYPED = re.compile(r"^(?:\S*/)?mitm-demo (.+?)(?:  +#.*)?$|`mitm-demo ([^`]+)`", re.MULTILINE)

ROWS = _ROW.findall(PAGE)
COMMANDS = sorted({line or quoted for line, quoted in _TYPED.findall(PAGE)})


def test_the_timetable_comes_to_ninety_minutes() -> None:
    at = 0
    for hours, minutes, lasting, _, _ in ROWS:
        assert int(hours) * 60 + int(minutes) == at
        at += int(lasting)
    assert at == 90


def test_each_part_is_told_and_lasts_as_long_as_the_timetable_says() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    parts = [heading for heading in headings if heading.endswith(" minutes)")]
    assert len(ROWS) == len(parts) >= 8
    for (_, _, lasting, _, anchor), heading in zip(ROWS, parts, strict=True):
        assert heading.endswith(f"({lasting} minutes)")
        assert re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") == anchor


@pytest.mark.parametrize("typed", COMMANDS)
def test_what_is_typed_can_be(typed: str) -> None:
    name, *words = shlex.split(typed)
    command = load(name)
    if name == "learn":
        while words and words[0].startswith("--"):
            assert words[0] in {option for each in learn.params for option in each.opts}
            words = words[2:]
        if words:
            command = learn.commands[words.pop(0)]
    with command.make_context(name, words) as context:
        assert isinstance(context, click.Context)
    if name == "run":
        for scenario in context.params["scenario"]:
            load_scenario(scenario)


def test_what_is_typed_was_found() -> None:
    told = {line.split()[0] for line in COMMANDS}
    assert {"learn", "run", "room", "audit", "show"} <= told
    assert len(COMMANDS) >= 20


def test_the_exercises_that_it_names_are_there() -> None:
    known = {exercise.order for exercise in load_exercises()}
    named = re.findall(r"\b[Ee]xercises? ((?:\d+(?:, | and | to )?)+)", PAGE.replace("\n", " "))
    numbers = {int(number) for text in named for number in re.findall(r"\d+", text)}
    assert {1, 3, 4, 8, 12} <= numbers <= known


def test_there_are_as_many_questions_as_it_says() -> None:
    assert "## Eight questions, before" in PAGE
    assert len(load_quiz()) == 8
