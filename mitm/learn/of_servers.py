"""Servers graded: by whom they let in."""

from collections.abc import Callable

from mitm.learn.exercise import Exercise, ServerRules
from mitm.learn.grade import Grade
from mitm.learn.program import LearnersProgram


async def grade_server(
    exercise: Exercise,
    rules: ServerRules,
    program: LearnersProgram,
    on_step: Callable[[str], None],
) -> Grade:
    """Grade a server."""
    raise NotImplementedError
