"""Exercises graded: each kind by what its programs do."""

from collections.abc import Callable

from mitm.errors import UserError
from mitm.learn.exercise import ClientRules, Exercise, ServerRules
from mitm.learn.folder import Folder
from mitm.learn.grade import Grade
from mitm.learn.of_clients import grade_client
from mitm.learn.of_servers import grade_server
from mitm.learn.of_tests import grade_tests
from mitm.learn.program import BuildFailed, made_ready
from mitm.learn.stack import Stack


async def grade(
    exercise: Exercise,
    stack: Stack,
    folder: Folder,
    on_step: Callable[[str], None] = lambda step: None,
) -> Grade:
    """Grade what stands in a learner's folder.

    Args:
        exercise: which.
        stack: that it is laid out in.
        folder: the learner's.
        on_step: told what is being done, in a few words.

    Raises:
        UserError: something that the stack needs is not here, or the files are gone.
    """
    if not folder.digest(exercise):
        raise UserError(
            f"{folder.place(exercise)} is gone or empty: mitm-demo learn reset {exercise.order} "
            "brings it back"
        )
    rules = exercise.grade
    try:
        if isinstance(rules, ClientRules):
            program = await made_ready(exercise, stack, folder, on_step)
            return await grade_client(exercise, rules, program, on_step)
        if isinstance(rules, ServerRules):
            program = await made_ready(exercise, stack, folder, on_step)
            return await grade_server(exercise, rules, program, on_step)
        return await grade_tests(exercise, rules, stack, folder, on_step)
    except BuildFailed as failed:
        return Grade("unproved", f"it does not build: {failed}", said=failed.last_lines)
