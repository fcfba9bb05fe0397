"""Exercises: the folders in exercises/, and what the file at the head of each says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from mitm import content, front_matter
from mitm.audit import Entry, load_entry
from mitm.audit.servers.way import Way, load_way
from mitm.errors import UserError
from mitm.learn.stack import stacks

# Of one kind for all stacks, or one for each.
Hint = str | dict[str, str]

# What a learner asks for one after the other.
STEPS = ("where", "what", "line")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of an exercise: a misspelt key is a mistake, not a comment."""


class Prediction(_Strict, frozen=True):
    """What a learner is asked before anything is played.

    Attributes:
        answer: the right one of the choices, from 1.
        because: why, told once the attack has been played.
    """

    question: str
    choices: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=9)]
    answer: Annotated[int, msgspec.Meta(ge=1)]
    because: str

    def __post_init__(self) -> None:
        if self.answer > len(self.choices):
            raise ValueError(f"answer: there are {len(self.choices)} choices")


class Hints(_Strict, frozen=True):
    """Three steps: where the mistake is, what it is, and the line that mends it."""

    where: Hint
    what: Hint
    line: Hint


class ClientRules(_Strict, frozen=True, tag_field="kind", tag="client"):
    """How a client is graded: as in an audit, by what it does with what it is shown.

    Attributes:
        refuse: certificates and attacks of certs/ by name, or files beside the exercise
            (`./mine.md`), to which it must send nothing; the first that it takes is shown.
        accept: certificates that it must get through with, besides the genuine one.
        mutual: whether the server asks for a client certificate, which it must present.
        files: further placeholders, each the leaf of a certificate of `accept`, as a PEM file.
    """

    refuse: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    accept: tuple[str, ...] = ()
    mutual: bool = False
    files: dict[str, str] = {}

    def __post_init__(self) -> None:
        for placeholder, name in self.files.items():
            if name not in self.accept:
                raise ValueError(f"files: {placeholder}: {name!r} is none of those under `accept`")


class ServerRules(_Strict, frozen=True, tag_field="kind", tag="server"):
    """How a server is graded: as in a probe, by whom it lets in.

    Attributes:
        turn_away: ways in, of certs/clients/ by name, that must get no answer.
    """

    turn_away: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class SuiteRules(_Strict, frozen=True, tag_field="kind", tag="tests"):
    """How tests are graded: run on clients, of which they must tell the flawed from the sound.

    The clients are folders below `subjects/STACK/`, whose files take the place of the learner's.

    Attributes:
        flawed: those that the tests must fail on.
        sound: those that they must pass on.
    """

    flawed: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    sound: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


Rules = ClientRules | ServerRules | SuiteRules


class _FrontMatter(_Strict, frozen=True):
    title: str
    order: int
    predict: Prediction
    grade: Rules
    hints: Hints
    scenario: str = ""
    arguments: tuple[str, ...] = ("{target}", "{ca}")
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0


class Exercise(msgspec.Struct, frozen=True):
    """An exercise.

    Attributes:
        name: of its folder, `02-skip-verify`.
        order: its number, by which it may be called.
        folder: where it is.
        scene: what a learner is told at first, Markdown.
        explanation: what it is told when all is right, Markdown.
        in_stacks: the same for each stack alone.
        scenario: the one that shows the same on a stage, "" for none.
        arguments: of the learner's program, with placeholders.
        seconds: that one run of that may take.
        stacks: the names of those that it is there for.
    """

    name: str
    title: str
    order: int
    folder: Path
    scene: str
    explanation: str
    in_stacks: Mapping[str, str]
    predict: Prediction
    grade: Rules
    hints: Hints
    scenario: str
    arguments: tuple[str, ...]
    seconds: float
    stacks: tuple[str, ...]

    def hint(self, step: int, stack: str) -> str:
        """A hint.

        Args:
            step: which, from 0.
            stack: the learner's.
        """
        hint: Hint = getattr(self.hints, STEPS[step])
        return hint if isinstance(hint, str) else hint[stack]

    def lesson(self, stack: str) -> str:
        """What is told when all is right, Markdown."""
        return "\n\n".join(filter(None, (self.explanation, self.in_stacks.get(stack, ""))))


def load_exercises() -> list[Exercise]:
    """Load all exercises, in their order.

    Raises:
        UserError: one of them is not well-formed; file, key and reason are named.
    """
    loaded = [load_exercise(folder) for folder in content.exercise_folders().values()]
    return sorted(loaded, key=lambda exercise: exercise.order)


def load_exercise(folder: Path) -> Exercise:
    """Load an exercise.

    Args:
        folder: that holds its README and a folder for each stack.

    Raises:
        UserError: it is not well-formed; file, key and reason are named.
    """
    readme = folder / "README.md"
    front, body = front_matter.load(readme, _FrontMatter)
    known = stacks()
    there = tuple(name for name in known if (folder / name).is_dir())
    if not there:
        raise UserError(f"{folder}: it has no folder for a stack: {', '.join(known)}")
    for step in STEPS:
        hint: Hint = getattr(front.hints, step)
        for name in there if isinstance(hint, dict) else ():
            if name not in hint:
                raise UserError(f"{readme}: hints.{step}: there is none for {name}")
    for heading in ("Scene", "Explanation"):
        if not front_matter.section(body, heading):
            raise UserError(f"{readme}: there is nothing under '## {heading}'")
    return Exercise(
        name=folder.name,
        folder=folder,
        scene=front_matter.section(body, "Scene"),
        explanation=front_matter.section(body, "Explanation"),
        in_stacks={
            name: front_matter.section(body, f"In {stack.title}") for name, stack in known.items()
        },
        stacks=there,
        **{name: getattr(front, name) for name in front.__struct_fields__},
    )


def entries(exercise: Exercise, words: tuple[str, ...]) -> dict[str, Entry]:
    """What a client is shown, by the words that the exercise names it by.

    Raises:
        UserError: there is no such certificate or attack.
    """
    beside = {word: str(exercise.folder / word) for word in words if content.is_path(word)}
    return {word: load_entry(beside.get(word, word)) for word in words}


def ways(rules: ServerRules) -> list[Way]:
    """The ways that a server must turn away.

    Raises:
        UserError: there is no such way.
    """
    return [load_way(name) for name in rules.turn_away]
