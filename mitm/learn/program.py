"""A learner's program: built if that is due, and run by the commands of its stack."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from mitm import content
from mitm.audit import ClientRun, Endpoint
from mitm.errors import UserError
from mitm.lab.builds import ready
from mitm.lab.clients import filled, load_client, surroundings
from mitm.lab.tools import all_missing, look_for
from mitm.learn.exercise import Exercise, ServerRules
from mitm.learn.folder import Folder
from mitm.learn.stack import Stack
from mitm.programs import Ended, run

# Seconds. Go builds grpc-go when it is compiled for the first time.
BUILD_SECONDS = 300.0


class BuildFailed(Exception):  # noqa: N818
    """A learner's program does not build: a state of the exercise, not a mistake of the user's."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.said)
        self.last_lines = ended.last_lines


class LearnersProgram(msgspec.Struct, frozen=True):
    """What a learner has written for an exercise, ready to be run.

    Attributes:
        command: how it is started; placeholders of what it is told are left in.
        test: how its tests are run.
        folder: where it is started.
        environment: the whole of it.
    """

    command: tuple[str, ...]
    test: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]

    async def run(
        self, values: Mapping[str, str], seconds: float, enough: asyncio.Event | None = None
    ) -> Ended:
        """Run it once.

        Args:
            values: what the placeholders stand for, by their names.
            seconds: that it is given.
            enough: when this is set, it need not go on.
        """
        words = filled(self.command, braced(values))
        return await run(words, self.environment, seconds, enough, self.folder)


class Client:
    """A learner's client, as an audit runs it.

    Args:
        program: to be run.
        more: what it is told beside where to connect and whom to trust.
        seconds: that one run of it may take.

    Attributes:
        runs: what came of them, in order.
    """

    def __init__(self, program: LearnersProgram, more: Mapping[str, str], seconds: float) -> None:
        self._program = program
        self._more = more
        self._seconds = seconds
        self.runs: list[ClientRun] = []

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        """Run it to its end, or until it has done enough to be judged."""
        told = endpoint.placeholders() | dict(self._more)
        program = msgspec.structs.replace(
            self._program, environment=endpoint.surroundings(self._program.environment)
        )
        ended = await program.run(told, self._seconds, enough)
        self.runs.append(ClientRun.of_program(ended, self._seconds))
        return self.runs[-1]


def braced(values: Mapping[str, str]) -> dict[str, str]:
    """Placeholders as they stand in a command."""
    return {f"{{{name}}}": value for name, value in values.items()}


async def unavailable(stack: Stack) -> str:
    """What is missing for a stack, and how one comes by it, in a line; "" if all is here."""
    client = load_client(stack.client) if stack.client else None
    return all_missing(await look_for([*stack.requires, *(client.requires if client else ())]))


async def made_ready(
    exercise: Exercise,
    stack: Stack,
    folder: Folder,
    on_step: Callable[[str], None] = lambda step: None,
) -> LearnersProgram:
    """Build what a learner has written.

    Args:
        exercise: which.
        stack: that it is laid out in.
        folder: the learner's.
        on_step: told what is being done, before something that takes long.

    Raises:
        UserError: something that the stack needs is not here.
        BuildFailed: it does not build.
    """
    kept = folder.kept / "build" / exercise.name
    values = {
        "python": sys.executable,
        "folder": str(folder.place(exercise)),
        "exercise": exercise.name,
        "program": "server" if isinstance(exercise.grade, ServerRules) else "client",
        "build": str(kept),
        "proto": str(content.PROTO),
    }
    if missing := await unavailable(stack):
        raise UserError(f"{stack.title}: {missing}; mitm-demo learn doctor tells the rest")
    if stack.client:
        client = await ready(load_client(stack.client), on_step)
        values["client"] = client.built
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {kept}: {error.strerror}") from None

    def fill(words: Sequence[str]) -> tuple[str, ...]:
        return filled(words, braced(values))

    environment = surroundings(os.environ) | {
        name: fill([value])[0] for name, value in stack.environment.items()
    }
    for words in stack.build:
        on_step(f"building {exercise.name}")
        ended = await run(fill(words), environment, BUILD_SECONDS, folder=folder.path)
        if ended.code != 0:
            raise BuildFailed(ended)
    command = fill((*stack.command, *exercise.arguments))
    return LearnersProgram(command, fill(stack.test), folder.path, environment)
