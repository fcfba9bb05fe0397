"""The client under test as a command: placeholders, environment, time limit, last words."""

import asyncio
import os
import signal
from collections.abc import Sequence

from mitm.audit.finding import ClientRun
from mitm.audit.listener import Endpoint
from mitm.masking import without_secrets
from mitm.programs import last_line, secrets_of, started


class Command:
    """A program that connects to a server once, and ends.

    Its run is over when it has ended, whatever it leaves behind: a child that goes on in the
    background is ended as well, unless it has moved to a session of its own.

    Args:
        words: program and arguments. `{target}`, `{host}`, `{port}`, `{name}`, `{ca}` and `{pin}`
            are filled in; the same stand in the environment as `MITM_TARGET` and so on.
        time_limit: seconds until it counts as hung and is ended, with its children.
    """

    def __init__(self, words: Sequence[str], time_limit: float) -> None:
        self._words = words
        self._time_limit = time_limit
        self._secrets = secrets_of(words, os.environ)

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
                return ClientRun(problem=problem, failed=True, ended=True)
            said = last_line(program.stderr.take() or program.stdout.take())
        how = f"exit code {code}" if code >= 0 else f"ended by {_signal_name(-code)}"
        said = f"{how}: {without_secrets(said, self._secrets)}" if said else how
        return ClientRun(said=said, failed=code != 0, ended=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # A real-time signal has none.
        return f"signal {number}"


def _fill(words: Sequence[str], values: dict[str, str]) -> list[str]:
    """Fill in placeholders; other braces, such as those of JSON, are left alone."""
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        filled.append(word)
    return filled
