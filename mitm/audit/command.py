"""The client under test as a command: placeholders, environment, time limit, last words."""

import asyncio
import os
from collections.abc import Sequence

from mitm.audit.listener import Endpoint
from mitm.evidence import ClientRun
from mitm.programs import run, secrets_of
from mitm.surroundings import straight


class Command:
    """A program that connects to a server once, and ends.

    Its run is over when it has ended, whatever it leaves behind: a child that goes on in the
    background is ended as well, unless it has moved to a session of its own.

    Args:
        words: program and arguments. `{target}`, `{host}`, `{port}`, `{name}`, `{ca}` and `{pin}`
            are filled in; the same stand in the environment as `MITM_TARGET` and so on. A proxy
            that is set there is kept, but not for what is to be dialled.
        time_limit: seconds until it counts as hung and is ended, with its children.
    """

    def __init__(self, words: Sequence[str], time_limit: float) -> None:
        self._words = words
        self._time_limit = time_limit
        self._secrets = secrets_of(words, os.environ)

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        """Run it to its end, or until it has done enough to be judged.

        Raises:
            UserError: it cannot be started.
        """
        values = endpoint.placeholders()
        environment = straight(os.environ, endpoint.host, endpoint.name)
        environment |= {f"MITM_{name.upper()}": value for name, value in values.items()}
        ended = await run(_fill(self._words, values), environment, self._time_limit, enough)
        return ClientRun.of_program(ended, self._time_limit).without_secrets(self._secrets)


def _fill(words: Sequence[str], values: dict[str, str]) -> list[str]:
    """Fill in placeholders; other braces, such as those of JSON, are left alone."""
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        filled.append(word)
    return filled
