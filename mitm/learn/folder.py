"""A learner's folder: laid out, found again, and what is remembered in it."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec

from mitm.errors import UserError
from mitm.learn.exercise import Exercise
from mitm.learn.stack import Stack

# What is remembered stands below this, and what is built.
KEPT = ".learn"

# Of the exercises that a stack has not.
FALLBACK = "python"

# What tools leave beside the files of a learner.
_PRODUCTS = {"__pycache__", ".pytest_cache", "node_modules", "target"}

# Bytes of a file that is no source. Files are looked at several times a second.
_LARGE = 1024 * 1024

State = Literal["open", "red", "green"]


class Progress(msgspec.Struct, omit_defaults=True):
    """How far a learner has come with an exercise.

    Attributes:
        state: `open` before the first check, then what the last one came to.
        tries: how many versions of it were checked.
        hints: how many were asked for.
        predicted: the choice before the attack was played, from 1; 0 for none.
        checked: a digest of what was checked last.
    """

    state: State = "open"
    tries: int = 0
    hints: int = 0
    predicted: int = 0
    checked: str = ""


class Memory(msgspec.Struct):
    """What is remembered of a folder.

    Attributes:
        stack: that its learner has chosen.
        exercises: by their names.
    """

    stack: str
    exercises: dict[str, Progress] = {}

    def of(self, exercise: Exercise) -> Progress:
        """How far its learner has come with an exercise."""
        return self.exercises.get(exercise.name) or Progress()


class Folder:
    """A learner's folder.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = path / KEPT
        self._file = self.kept / "progress.json"

    @classmethod
    def find(cls, start: Path) -> Self | None:
        """The folder that a path is in, if that is one."""
        for path in (start, *start.parents):
            if (path / KEPT / "progress.json").is_file():
                return cls(path)
        return None

    @classmethod
    def lay_out(
        cls, path: Path, stack: str, exercises: Sequence[Exercise], known: Mapping[str, Stack]
    ) -> Self:
        """Make a folder with all exercises in it.

        Args:
            path: it is made if it is not there.
            stack: the learner's. What is not there for it is laid out in Python.
            exercises: all that there are.
            known: all stacks.

        Raises:
            UserError: there is something else in it, or it cannot be written.
        """
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UserError(
                    f"{path}: there is something in it already; exercises take a folder of their "
                    "own: mitm-demo learn start FOLDER"
                )
            try:
                folder.kept.mkdir(mode=0o700)
                for exercise in exercises:
                    folder.reset(exercise, known[stack_of(exercise, stack)])
                # Last: with it the folder is whole.
                folder._write(Memory(stack))
            except BaseException:
                # It was empty, so that all of it is ours.
                for made in path.iterdir():
                    if made.is_dir():
                        shutil.rmtree(made, ignore_errors=True)
                    else:
                        made.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _unwritable(error, path) from None
        return folder

    def place(self, exercise: Exercise) -> Path:
        """Where an exercise's files are."""
        return self.path / exercise.name

    def reset(self, exercise: Exercise, stack: Stack) -> None:
        """Lay an exercise out as it was at first; files of the learner's own beside it stay.

        Raises:
            UserError: it cannot be written.
        """
        try:
            _copy(exercise.folder / stack.name, self.place(exercise))
            _copy(stack.files, self.path)
            shutil.rmtree(self.kept / "build" / exercise.name, ignore_errors=True)
        except OSError as error:
            raise _unwritable(error, self.place(exercise)) from None

    def copy_of(self, other: "Folder", exercise: Exercise, stack: Stack) -> None:
        """Make this a copy of another, of one exercise alone.

        Raises:
            UserError: it cannot be written, or the other not be read.
        """
        try:
            self.kept.mkdir()
            _copy(stack.files, self.path)
            _copy(other.place(exercise), self.place(exercise))
        except OSError as error:
            raise _unwritable(error, self.path) from None

    def digest(self, exercise: Exercise) -> str:
        """What stands in an exercise's files, in short; "" if there are none."""
        place, digest = self.place(exercise), hashlib.sha256()
        files = [path for path in _files(place) if _is_source(path.relative_to(place))]
        for path in files:
            with contextlib.suppress(OSError):
                digest.update(bytes(path.relative_to(place)) + b"\0" + _contents(path) + b"\0")
        return digest.hexdigest()[:16] if files else ""

    def memory(self) -> Memory:
        """What is remembered.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Memory)
        except OSError as error:
            raise UserError(f"{self._file}: cannot be read: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise UserError(
                f"{self._file}: {error}: remove {self.kept}, and mitm-demo learn start in a new "
                "folder; your files stay as they are"
            ) from None

    @contextlib.contextmanager
    def remembering(self, exercise: Exercise) -> Iterator[Progress]:
        """Change what is remembered of an exercise; others may do so meanwhile.

        Raises:
            UserError: it cannot be read or written.
        """
        try:
            with (self.kept / "writing").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                memory = self.memory()
                progress = memory.of(exercise)
                yield progress
                memory.exercises[exercise.name] = progress
                self._write(memory)
        except OSError as error:
            raise _unwritable(error, self.kept) from None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While the block lasts, nobody else watches it.

        Raises:
            UserError: somebody does.
        """
        try:
            with (self.kept / "watching").open("a+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UserError(
                        f"another mitm-demo learn watches {self.path} already: go on there, or end "
                        "it with q; mitm-demo learn check checks once"
                    ) from None
                yield
        except OSError as error:
            raise _unwritable(error, self.kept) from None

    def _write(self, memory: Memory) -> None:
        # Whole or not at all.
        descriptor, name = tempfile.mkstemp(dir=self.kept, prefix="progress.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(memory)) + b"\n")
            Path(name).replace(self._file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def stack_of(exercise: Exercise, chosen: str) -> str:
    """The stack that an exercise is laid out in for a learner who has chosen one."""
    if chosen in exercise.stacks:
        return chosen
    return FALLBACK if FALLBACK in exercise.stacks else exercise.stacks[0]


def _copy(source: Path, target: Path) -> None:
    for path in _files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy.is_dir() and not copy.is_symlink():
            raise IsADirectoryError(
                errno.EISDIR, "there is a folder in the place of this file", str(copy)
            )
        # Not through a link to somewhere else.
        copy.unlink(missing_ok=True)
        shutil.copyfile(path, copy)


def _files(folder: Path) -> list[Path]:
    """The files below a folder, but for what tools leave there; what vanishes meanwhile is left."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _PRODUCTS]
        found += [path for name in files if (path := Path(root, name)).is_file()]
    return sorted(found)


def _is_source(path: Path) -> bool:
    """Whether a file is a learner's, and not one that an editor keeps beside it for a moment.

    Args:
        path: within the exercise.
    """
    # Vim tries by a file called 4913 whether it may write.
    kept = any(part.startswith((".", "#")) for part in path.parts) or not path.suffix
    return not kept and not path.name.endswith("~")


def _contents(path: Path) -> bytes:
    """What stands in a file; of a large one, when it was changed."""
    about = path.stat()
    if about.st_size > _LARGE:
        return f"{about.st_size} {about.st_mtime_ns}".encode()
    return path.read_bytes()


def _unwritable(error: OSError, path: Path) -> UserError:
    return UserError(f"cannot write {error.filename or path}: {error.strerror}")
