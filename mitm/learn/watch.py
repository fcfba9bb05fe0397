"""A folder watched: each change is checked, each key answered, until all is solved or one goes."""

import asyncio
import contextlib
from typing import Protocol

from mitm.errors import UserError
from mitm.learn.course import Course
from mitm.learn.exercise import Exercise
from mitm.learn.grade import Grade

# Seconds between two looks at the files: an editor has saved before a learner looks up.
POLL_SECONDS = 0.2

# Keys.
HINT, NEXT, LIST, CHECK, QUIT = "h", "n", "l", "c", "q"
_ON = (NEXT, "\r", "\n", " ")


class View(Protocol):
    """Where a learner is told things."""

    def scene(self, exercise: Exercise) -> None:
        """An exercise begins."""

    def question(self, exercise: Exercise) -> None:
        """What is to be predicted."""

    def step(self, text: str) -> None:
        """What is being done."""

    def graded(self, exercise: Exercise, graded: Grade) -> None:
        """What a check came to."""

    def hints(self, exercise: Exercise, hints: tuple[str, ...]) -> None:
        """The hints up to now."""

    def progress(self) -> None:
        """All exercises, and how far they have come."""

    def keys(self, exercise: Exercise) -> None:
        """What can be done now."""

    def word(self, text: str) -> None:
        """One line."""

    def done(self) -> None:
        """All is solved."""


class _Quit(Exception):  # noqa: N818
    """The learner goes."""


class Watch:
    """Watches a learner's folder.

    Args:
        course: that the learner takes.
        view: where all is told.
        keys: those that the learner presses; "" for the end of them.
    """

    def __init__(self, course: Course, view: View, keys: "asyncio.Queue[str]") -> None:
        self._course = course
        self._view = view
        self._keys = keys

    async def run(self) -> int:
        """Go from exercise to exercise.

        Returns:
            The exit code: 0 if all is solved, 1 if not.

        Raises:
            UserError: what is remembered cannot be read or written; or somebody else watches.
        """
        with self._course.folder.watched(), contextlib.suppress(_Quit):
            exercise = self._course.current()
            while exercise:
                exercise = await self._take(exercise)
            self._view.done()
        await self._course.sent()
        return 0 if self._course.current() is None else 1

    async def _take(self, exercise: Exercise) -> Exercise | None:
        """Take an exercise until the learner goes on to the next one, which this is."""
        await self._course.arrive(exercise)
        self._view.scene(exercise)
        if not self._course.progress(exercise).predicted:
            await self._predict(exercise)
        while True:
            checked = await self._check(exercise)
            if await self._wait(exercise, checked):
                return self._course.after(exercise)

    async def _predict(self, exercise: Exercise) -> None:
        self._view.question(exercise)
        choices = [str(number) for number in range(1, len(exercise.predict.choices) + 1)]
        while (key := await self._key()) not in choices:
            if key == NEXT:
                return
        await self._course.predict(exercise, int(key))

    async def _check(self, exercise: Exercise) -> str:
        """Check what stands there; what changes meanwhile is checked in its place.

        Returns:
            The digest of what was checked.
        """
        folder = self._course.folder
        while True:
            digest = folder.digest(exercise)
            task = asyncio.create_task(self._course.check(exercise, self._view.step))
            try:
                while not task.done():
                    await asyncio.wait([task], timeout=POLL_SECONDS)
                    if self._gone():
                        raise _Quit
                    if folder.digest(exercise) != digest:
                        break
            finally:
                stopped = not task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if stopped or folder.digest(exercise) != digest:
                self._view.step("it was changed meanwhile: once more")
                continue
            try:
                graded = task.result()
            except UserError as error:
                self._view.word(str(error))
                return digest
            await self._course.remember(exercise, graded, digest)
            self._view.graded(exercise, graded)
            return digest

    def _gone(self) -> bool:
        """Whether the learner goes, while something is being played; other keys wait."""
        kept = []
        while not self._keys.empty():
            kept.append(self._keys.get_nowait())
        for key in kept:
            self._keys.put_nowait(key)
        return bool({QUIT, ""} & {*kept})

    async def _wait(self, exercise: Exercise, checked: str) -> bool:
        """Wait for a change of the files (False), or until the learner goes on (True)."""
        self._view.keys(exercise)
        while self._course.folder.digest(exercise) == checked:
            key = await self._key(POLL_SECONDS)
            if key in _ON:
                return True
            if key == CHECK:
                return False
            if key == HINT:
                self._view.hints(exercise, await self._course.hint(exercise))
            elif key == LIST:
                self._view.progress()
        return False

    async def _key(self, seconds: float | None = None) -> str | None:
        """The next key; None if none came in this time."""
        with contextlib.suppress(TimeoutError):
            key = await asyncio.wait_for(self._keys.get(), seconds)
            if key in (QUIT, ""):
                raise _Quit
            return key
        return None
