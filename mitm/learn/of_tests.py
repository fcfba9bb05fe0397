"""Tests graded: by which clients they fail on, and which they pass."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from mitm.errors import UserError
from mitm.learn.exercise import Exercise, SuiteRules
from mitm.learn.folder import Folder
from mitm.learn.grade import Grade, Tried
from mitm.learn.program import made_ready
from mitm.learn.stack import Stack
from mitm.masking import plain, shortened
from mitm.programs import Ended, run

# Test suites that run at once: each plays an audit of its own.
_AT_ONCE = 2

# What a test suite says: all have passed, one has failed.
_PASSED, _FAILED = 0, 1


async def grade_tests(
    exercise: Exercise,
    rules: SuiteRules,
    stack: Stack,
    folder: Folder,
    on_step: Callable[[str], None],
) -> Grade:
    """Grade tests: they must fail on clients that are flawed, and pass on those that are not.

    Args:
        exercise: which.
        rules: how it is graded.
        stack: that it is laid out in.
        folder: the learner's.
        on_step: told what is being done.

    Raises:
        UserError: something that the stack needs is not here.
        BuildFailed: it does not build.
    """
    on_step("running your tests on clients that are sound, and on clients that are not")
    slots = asyncio.Semaphore(_AT_ONCE)

    async def tested(name: str) -> Ended:
        async with slots:
            return await _run_on(name, exercise, stack, folder)

    first, *names = (*rules.sound, *rules.flawed)
    ended = {first: await tested(first)}
    # Nothing is proved by tests that fail anyway.
    if ended[first].code == _PASSED:
        ended |= zip(names, await asyncio.gather(*map(tested, names)), strict=True)
    return judged(rules, ended)


async def _run_on(name: str, exercise: Exercise, stack: Stack, folder: Folder) -> Ended:
    """Run a learner's tests on a client, in a copy of the folder with that in the place of theirs.

    Raises:
        UserError: something that the stack needs is not here.
        BuildFailed: it does not build.
    """
    with TemporaryDirectory(prefix="mitm-demo-") as temporary:
        copy = Folder(Path(temporary))
        copy.copy_of(folder, exercise, stack)
        subject = exercise.folder / "subjects" / stack.name / name
        shutil.copytree(subject, copy.place(exercise), dirs_exist_ok=True)
        program = await made_ready(exercise, stack, copy)
        if not program.test:
            raise UserError(f"{stack.title} has no command for tests: exercises/stacks")
        return await run(program.test, program.environment, exercise.seconds, folder=copy.path)


def judged(rules: SuiteRules, ended: dict[str, Ended]) -> Grade:
    """What it comes to that tests have passed on some clients, and failed on others.

    Args:
        rules: how they are graded.
        ended: what came of them on each client, by its name.
    """
    tried = tuple(
        Tried(name, name, each.code == _due(rules, name), plain(shortened(each.said)))
        for name, each in ended.items()
    )
    for name in rules.sound:
        if name in ended and ended[name].code != _PASSED:
            reason = f"your tests do not pass on a client that is sound ({name}): "
            return _told(reason, ended[name], tried)
    for name in rules.flawed:
        if ended[name].code == _PASSED:
            reason = f"your tests pass on a client that is not sound: {name}"
            return Grade("red", reason, (), tried)
        if ended[name].code != _FAILED:
            reason = f"your tests neither pass nor fail on a client that is not sound ({name}): "
            return _told(reason, ended[name], tried)
    return Grade("green", "your tests pass on sound clients, and fail on all others", (), tried)


def _due(rules: SuiteRules, name: str) -> int:
    return _PASSED if name in rules.sound else _FAILED


def _told(reason: str, ended: Ended, tried: tuple[Tried, ...]) -> Grade:
    text = plain(shortened(f"{reason}{ended.said}"))
    lines = tuple(plain(shortened(line)) for line in ended.last_lines)
    return Grade("unproved", text, (), tried, lines)
