"""Each exercise: unsolved it is red for the reason that it names, and solved it is green."""

import asyncio
import shutil
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from mitm.errors import UserError
from mitm.learn.exercise import Exercise, load_exercises
from mitm.learn.folder import Folder, stack_of
from mitm.learn.grading import grade
from mitm.learn.program import unavailable
from mitm.learn.stack import Stack, stacks

SOLUTIONS = Path(__file__).parent / "solutions"

EXERCISES = {exercise.name: exercise for exercise in load_exercises()}
STACKS = stacks()


def _expected() -> list[tuple[str, str, str, str]]:
    """Exercise, stack, what stands in the learner's folder, and what it comes to."""
    found = []
    for name in EXERCISES:
        text = (SOLUTIONS / name / "expected.yaml").read_text()
        for stack, cases in yaml.safe_load(text).items():
            found += [(name, stack, case, comes_to) for case, comes_to in cases.items()]
    return found


def laid_out(exercise: Exercise, stack: Stack, case: str, path: Path) -> Folder:
    """A learner's folder in which an exercise is as a case has it."""
    folder = Folder.lay_out(path, stack.name, [exercise], STACKS)
    if case != "unsolved":
        # As a whole: what was there and is not any more belongs to the case.
        place = folder.place(exercise)
        for file in sorted((SOLUTIONS / exercise.name / stack.name / case).rglob("*")):
            if file.is_file():
                # Sources that do not compile would offend those who look after this project's.
                target = place / file.relative_to(SOLUTIONS / exercise.name / stack.name / case)
                target = target.with_suffix("") if target.suffix == ".txt" else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    return folder


@pytest.mark.parametrize(("name", "stack", "case", "comes_to"), _expected())
def test_an_exercise_comes_to_what_it_should(
    name: str, stack: str, case: str, comes_to: str, tmp_path: Path
) -> None:
    if missing := asyncio.run(unavailable(STACKS[stack])):
        pytest.skip(missing)
    exercise = EXERCISES[name]
    if case == "hangs":
        exercise = replace(exercise, seconds=1.5)
    folder = laid_out(exercise, STACKS[stack], case, tmp_path / "learner")
    graded = asyncio.run(grade(exercise, STACKS[stack], folder))
    outcome, _, reason = comes_to.partition(": ")
    assert (graded.outcome, reason in graded.reason) == (outcome, True), graded
    assert bool(graded.read) == (outcome == "red" and "it took" in graded.reason)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_each_stack_of_an_exercise_has_an_unsolved_and_two_solved_cases(exercise: Exercise) -> None:
    cases = yaml.safe_load((SOLUTIONS / exercise.name / "expected.yaml").read_text())
    assert set(cases) == {*exercise.stacks}
    for stack, expected in cases.items():
        assert expected["unsolved"] != "green"
        assert list(expected.values()).count("green") >= 2
        assert any(key.startswith("wrong") and v != "green" for key, v in expected.items()), stack
        folders = {each.name for each in (SOLUTIONS / exercise.name / stack).iterdir()}
        assert folders == {*expected} - {"unsolved"}


def test_no_two_exercises_have_one_number_and_names_begin_with_it() -> None:
    orders = [exercise.order for exercise in EXERCISES.values()]
    assert len({*orders}) == len(orders)
    assert all(name.startswith(f"{each.order:02}-") for name, each in EXERCISES.items())


def test_what_is_not_there_for_a_stack_is_laid_out_in_python() -> None:
    exercise = next(iter(EXERCISES.values()))
    assert stack_of(exercise, "cobol") == "python"
    assert all(stack_of(exercise, name) == name for name in exercise.stacks)


def test_an_exercise_that_is_gone_is_a_users_error(tmp_path: Path) -> None:
    exercise = EXERCISES["02-skip-verify"]
    folder = laid_out(exercise, STACKS["python"], "unsolved", tmp_path / "learner")
    shutil.rmtree(folder.place(exercise))
    with pytest.raises(UserError, match="learn reset 2 brings it back"):
        asyncio.run(grade(exercise, STACKS["python"], folder))
