"""The client under test as a command: placeholders, environment, time limit, last words."""

import asyncio
import os
import signal
from collections.abc import Sequence

from mitm.audit.finding import ClientRun
from mitm.audit.listener import Endpoint
from mitm.lab.processes import started

_LAST_WORDS = 200


class Command:
    """A program that connects to a server once, and ends.

    Args:
        words: program and arguments. `{target}`, `{host}`, `{port}`, `{name}`, `{ca}` and `{pin}`
            are filled in; the same stand in the environment as `MITM_TARGET` and so on.
        time_limit: seconds until it counts as hung and is ended, with its children.
    """

    def __init__(self, words: Sequence[str], time_limit: float) -> None:
        self._words = words
        self._time_limit = time_limit

    async def __call__(self, endpoint: Endpoint) -> ClientRun:
        """Run it to its end.

        Raises:
            UserError: it cannot be started.
        """
        values = endpoint.placeholders()
        environment = dict(os.environ)
        environment |= {f"MITM_{name.upper()}": value for name, value in values.items()}
        async with started(_fill(self._words, values), environment) as program:
            try:
                async with asyncio.timeout(self._time_limit):
                    code = await program.wait()
            except TimeoutError:
                problem = f"the client did not end within {self._time_limit:g} s"
                return ClientRun(problem=problem, failed=True)
            output = program.stderr.take() or program.stdout.take()
        lines = output.decode(errors="replace").strip().splitlines()
        said = f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"
        if lines:
            said += f": {lines[-1][:_LAST_WORDS]}"
        return ClientRun(said=said, failed=code != 0)


def _fill(words: Sequence[str], values: dict[str, str]) -> list[str]:
    """Fill in placeholders; other braces, such as those of JSON, are left alone."""
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        filled.append(word)
    return filled
