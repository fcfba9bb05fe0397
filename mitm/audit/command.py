"""The client under test as a command: placeholders, environment, time limit, last words."""

import asyncio
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from mitm.audit.listener import Endpoint, Placeholder
from mitm.evidence import ClientRun
from mitm.programs import run, secrets_of
from mitm.surroundings import TRUST_SETTINGS, straight

PLACEHOLDERS: tuple[Placeholder, ...] = get_args(Placeholder)

# What could be meant as one. JSON, and most of what else stands in braces, is more than a word; a
# shell's variables have a sign before them.
_IN_BRACES = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")

# How alike two words are: `taget` and `target` 0.9, `server` and `target` 0.5.
_ALIKE = 0.5


class Command:
    """A program that connects to a server once, and ends.

    Its run is over when it has ended, whatever it leaves behind: a child that goes on in the
    background is ended as well, unless it has moved to a session of its own.

    Args:
        words: program and arguments. `{target}`, `{host}`, `{port}`, `{name}`, `{url_name}`, `{ca}`
            and `{pin}` are filled in; the same stand in the environment as `MITM_TARGET` and so on.
            A proxy that is set there is kept, but not for what is to be dialled.
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
        environment = endpoint.surroundings(straight(os.environ, endpoint.host, endpoint.name))
        environment |= {f"MITM_{name.upper()}": value for name, value in values.items()}
        ended = await run(_fill(self._words, values), environment, self._time_limit, enough)
        return ClientRun.of_program(ended, self._time_limit).without_secrets(self._secrets)

    @property
    def told_host(self) -> bool:
        """Whether its command tells it whom to dial."""
        return _names_any(self._words, ("target", "host"))

    @property
    def told_name(self) -> bool:
        """Whether its command tells it which name to expect, and what to dial besides."""
        return self.told_host and _names_any(self._words, ("name", "url_name"))

    @property
    def told_trust(self) -> bool:
        """Whether its command tells it whom to trust."""
        return _names_any(self._words, ("ca", "pin"))

    def doubts(self, *, reached: bool) -> tuple[str, ...]:
        """What may be wrong with the command line, if its client does not get through.

        Args:
            reached: whether it has connected.
        """
        named = dict.fromkeys(name for word in self._words for name in _IN_BRACES.findall(word))
        unknown = [name for name in named if name not in PLACEHOLDERS]
        doubts = [_unknown(name) for name in unknown]
        if not reached and not _names_any(self._words, ("target", "port")):
            doubts.append(
                "The command has no {target}: write it where the client takes the address, and "
                "{ca} where it takes the CA, or let it read MITM_TARGET and MITM_CA"
            )
        return tuple(doubts)


def _names_any(words: Sequence[str], names: Sequence[Placeholder]) -> bool:
    """Whether a command has one of these placeholders, or reads it from its environment."""
    told = [form for name in names for form in (f"{{{name}}}", f"MITM_{name.upper()}")]
    return any(form in word for word in words for form in told)


def trust_setting(
    words: Sequence[str], environment: Mapping[str, str] | None = None, ca_pem: bytes = b""
) -> str:
    """Why it is no fault of a client that it trusts what its machine trusts; "" if it is one.

    Args:
        words: its command.
        environment: its own, beside what stands in the command.
        ca_pem: the CA that it is to trust, if it may know of that without being told.
    """
    for name in TRUST_SETTINGS:
        if any(name in word for word in words):
            return f"its command sets {name}, and so what it takes for the machine's roots"
    if not ca_pem or not environment:
        return ""
    for name in TRUST_SETTINGS:
        named = filter(None, environment.get(name, "").split(os.pathsep))
        if any(_holds(Path(path), ca_pem) for path in named):
            return f"{name} is set, and has its CA among the machine's roots"
    return ""


def _holds(path: Path, ca_pem: bytes) -> bool:
    """Whether a file, or one of a directory, holds a CA."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return any(_body(ca_pem) in _body(file.read_bytes()) for file in files if file.is_file())
    except OSError:
        return False


def _body(pem: bytes) -> bytes:
    return b"".join(pem.partition(b"-----BEGIN CERTIFICATE-----")[2].split())


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), PLACEHOLDERS, n=1, cutoff=_ALIKE)
    if near:
        return f"{{{name}}} is no placeholder and was not filled in: did you mean {{{near[0]}}}?"
    known = ", ".join(f"{{{placeholder}}}" for placeholder in PLACEHOLDERS)
    return f"{{{name}}} is no placeholder and was not filled in; those that are: {known}"


def _fill(words: Sequence[str], values: Mapping[Placeholder, str]) -> list[str]:
    """Fill in placeholders; other braces, such as those of JSON, are left alone."""
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        filled.append(word)
    return filled
