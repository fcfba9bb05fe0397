"""The stacks that there are exercises for: how a learner's file is built and run in each."""

from pathlib import Path

import msgspec

from mitm import content, front_matter
from mitm.lab.clients import Requirement


class Gathering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How all that a stack fetches is put on a stick, `{stick}`, and taken from there.

    Attributes:
        run: commands that fetch it, in a copy of the folder of the lab's client; `{python}` is the
            interpreter of this program.
        environment: variables that are set for them.
        there: variables that are set where there is no network, while that client is built.
    """

    run: tuple[tuple[str, ...], ...]
    environment: dict[str, str] = {}
    there: dict[str, str] = {}


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    command: tuple[str, ...] = ()
    client: str = ""
    requires: tuple[Requirement, ...] = ()
    build: tuple[tuple[str, ...], ...] = ()
    test: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    suffixes: tuple[str, ...] = ()
    gather: Gathering | None = None


class Stack(msgspec.Struct, frozen=True):
    """A stack, as its file in exercises/stacks/ describes it.

    In its commands `{python}` stands for the interpreter of this program, `{folder}` for the
    learner's folder of the exercise and `{exercise}` for its name, `{program}` for `server` or
    `client`, whichever is to be mended, `{build}` for a folder that is kept for it, `{client}` for
    where the lab's client of that stack is built, and `{proto}` for the definition of the messages.
    They are run in the learner's folder, above those of the exercises.

    Attributes:
        title: `Go`.
        files: a folder whose files stand in the learner's folder, above those of the exercises; it
            need not be there.
        command: how the learner's program is started; its arguments are added behind.
        client: the lab's client that must be built for it, "" for none.
        requires: what must be installed for it, beside what that client needs.
        build: commands that are run before.
        test: the command that runs a learner's tests, which ends with 0 if they pass and with 1 if
            one fails; () if there is no exercise with tests.
        environment: variables that are set for all of these.
        suffixes: of the files that are a learner's own to change, `.py`.
        gather: how what its client is built of is put on a stick; None if nothing is fetched
            for it.
    """

    name: str
    title: str
    files: Path
    command: tuple[str, ...]
    client: str
    requires: tuple[Requirement, ...]
    build: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]
    environment: dict[str, str]
    suffixes: tuple[str, ...]
    gather: Gathering | None


def stacks() -> dict[str, Stack]:
    """All stacks, by name.

    Raises:
        UserError: a file is not well-formed.
    """
    found = content.markdown_files(content.STACKS)
    return {name: _load(name, found[name]) for name in sorted(found)}


def _load(name: str, path: Path) -> Stack:
    front, _ = front_matter.load(path, _FrontMatter)
    fields = {field: getattr(front, field) for field in front.__struct_fields__}
    return Stack(name=name, files=path.with_suffix(""), **fields)
