"""Tests graded: by which clients they fail on."""

from collections.abc import Callable

from mitm.learn.exercise import Exercise, TestsRules
from mitm.learn.folder import Folder
from mitm.learn.grade import Grade
from mitm.learn.stack import Stack


async def grade_tests(
    exercise: Exercise,
    rules: TestsRules,
    stack: Stack,
    folder: Folder,
    on_step: Callable[[str], None],
) -> Grade:
    """Grade tests."""
    raise NotImplementedError
