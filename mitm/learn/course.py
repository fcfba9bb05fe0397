"""A learner's way through the exercises: which one is meant, checked, and remembered."""

import asyncio
from collections.abc import Callable

from mitm.errors import UserError
from mitm.learn.exercise import STEPS, Exercise, load_exercises
from mitm.learn.folder import Folder, Progress, State, stack_of
from mitm.learn.grade import Grade
from mitm.learn.sender import Sender
from mitm.learn.stack import Stack, stacks


class Course:
    """The exercises in a learner's folder.

    Args:
        folder: the learner's.
        sender: tells a class; None for nobody.

    Attributes:
        exercises: all that there are, in their order.
        on_problem: told, in a line, why a class could not be told.

    Raises:
        UserError: what comes with the project is not well-formed.
    """

    def __init__(self, folder: Folder, sender: Sender | None = None) -> None:
        self.folder = folder
        self.on_problem: Callable[[str], None] = lambda text: None
        self.exercises = load_exercises()
        self._stacks = stacks()
        self._sender = sender
        self._sending: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._problem = ""

    def find(self, word: str) -> Exercise:
        """The exercise that a learner means: `2`, `02-skip-verify` or `skip-verify`.

        Raises:
            UserError: there is none.
        """
        for exercise in self.exercises:
            number, _, name = exercise.name.partition("-")
            if word in (exercise.name, name, number, str(exercise.order)):
                return exercise
        known = ", ".join(exercise.name for exercise in self.exercises)
        raise UserError(f"no exercise is called {word!r}: there are {known}")

    def current(self) -> Exercise | None:
        """The first that is not solved; None if all are.

        Raises:
            UserError: what is remembered cannot be read.
        """
        memory = self.folder.memory()
        return next((e for e in self.exercises if memory.of(e).state != "green"), None)

    def after(self, exercise: Exercise) -> Exercise | None:
        """The next that is not solved, from the first on again at the end; None if all are.

        Raises:
            UserError: what is remembered cannot be read.
        """
        at = self.exercises.index(exercise) + 1
        memory = self.folder.memory()
        others = [*self.exercises[at:], *self.exercises[:at]]
        return next((e for e in others if memory.of(e).state != "green"), None)

    def stack(self, exercise: Exercise) -> Stack:
        """The stack that an exercise is laid out in.

        Raises:
            UserError: what is remembered cannot be read.
        """
        return self._stacks[stack_of(exercise, self.folder.memory().stack)]

    def progress(self, exercise: Exercise) -> Progress:
        """How far an exercise has come.

        Raises:
            UserError: what is remembered cannot be read.
        """
        return self.folder.memory().of(exercise)

    async def check(
        self, exercise: Exercise, on_step: Callable[[str], None] = lambda step: None
    ) -> Grade:
        """Grade what stands in the folder. Nothing is remembered yet.

        Raises:
            UserError: something that its stack needs is not here, or its files are gone.
        """
        from mitm.learn.grading import grade

        return await grade(exercise, self.stack(exercise), self.folder, on_step)

    async def remember(self, exercise: Exercise, graded: Grade, digest: str) -> None:
        """Remember what a check came to, and tell the class.

        Args:
            exercise: which.
            graded: what it came to.
            digest: of what was checked; the same twice is one try.

        Raises:
            UserError: it cannot be written.
        """
        state: State = "green" if graded.outcome == "green" else "red"
        with self.folder.remembering(exercise) as progress:
            progress.tries += progress.checked != digest
            progress.state, progress.checked = state, digest
        self._tell(exercise, progress)

    async def predict(self, exercise: Exercise, choice: int) -> None:
        """Remember what a learner expects; the first word counts.

        Raises:
            UserError: it cannot be written.
        """
        with self.folder.remembering(exercise) as progress:
            progress.predicted = progress.predicted or choice
        self._tell(exercise, progress)

    async def hint(self, exercise: Exercise) -> tuple[str, ...]:
        """The hints up to the next one.

        Raises:
            UserError: it cannot be written.
        """
        with self.folder.remembering(exercise) as progress:
            progress.hints = min(progress.hints + 1, len(STEPS))
        self._tell(exercise, progress)
        stack = self.stack(exercise).name
        return tuple(exercise.hint(step, stack) for step in range(progress.hints))

    async def reset(self, exercise: Exercise) -> None:
        """Lay an exercise out as it was at first, and forget it.

        Raises:
            UserError: it cannot be written.
        """
        self.folder.reset(exercise, self.stack(exercise))
        with self.folder.remembering(exercise) as progress:
            progress.state, progress.tries, progress.hints = "open", 0, 0
            progress.predicted, progress.checked = 0, ""
        self._tell(exercise, progress)

    async def arrive(self, exercise: Exercise) -> None:
        """Tell the class that an exercise is begun.

        Raises:
            UserError: what is remembered cannot be read.
        """
        self._tell(exercise, self.progress(exercise))

    async def sent(self) -> None:
        """Wait until the class was told all that it is to be told, or it cannot be."""
        await asyncio.gather(*self._sending)

    def _tell(self, exercise: Exercise, progress: Progress) -> None:
        """Tell the class, while the learner goes on."""
        if self._sender:
            task = asyncio.create_task(self._send(self._sender, exercise, progress))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, sender: Sender, exercise: Exercise, progress: Progress) -> None:
        # One after the other: what was sent last is what holds.
        async with self._turn:
            problem = await sender.send(exercise, progress)
        if problem and problem != self._problem:
            self.on_problem(problem)
        self._problem = problem


def begin(folder: Folder, stack: str) -> Course:
    """Lay all exercises out in a folder.

    Args:
        folder: which; it is made if it is not there.
        stack: the learner's.

    Raises:
        UserError: there is no such stack, something else is in the folder, or it cannot be written.
    """
    known = stacks()
    if stack not in known:
        raise UserError(f"no stack is called {stack!r}: there are {', '.join(known)}")
    Folder.lay_out(folder.path, stack, load_exercises(), known)
    return Course(folder)
