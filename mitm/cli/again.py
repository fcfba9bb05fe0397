"""The command line that was typed, to be typed again: for all of it, or for a few certificates."""

import shlex
from collections.abc import Iterable, Iterator, Sequence

import click
from click.core import ParameterSource

from mitm import content
from mitm.audit import Finding
from mitm.audit.case import plain_name
from mitm.audit.finding import CRASH
from mitm.cli.words import words_in
from mitm.credentials import is_credential
from mitm.masking import plain, without_secrets

_PROGRAM = "mitm-demo"
_LEFT_OUT = "…"

# What is tried; and what writes files, or is about several runs.
_CHOICE = {"only", "exclude"}
_OF_ONE_RUN = {"json_", "junit", "sarif", "summary", "html", "source", "baseline", "shard"}
_OF_ONE_RUN |= {"pcap", "keylog", "events", "step"}


class Invocation:
    """How a command was called.

    A report travels, and so do the words of its command: credentials are left out of them.

    Args:
        context: of click, in which the command runs.
    """

    def __init__(self, context: click.Context) -> None:
        self._name = context.info_name or ""
        self._options: list[str] = []
        self._choice: list[str] = []
        self._files: list[str] = []
        words: list[str] = []
        given: list[str] = []
        for parameter in context.command.params:
            name = parameter.name or ""
            value = context.params.get(name)
            if context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
                continue
            if isinstance(parameter, click.Argument):
                words += map(str, value if isinstance(value, tuple) else (value,))
            elif name in _CHOICE:
                self._choice += _option(parameter, value)
                self._files += filter(content.is_path, words_in(value or ()))
            elif name not in _OF_ONE_RUN:
                option = [*_option(parameter, value)]
                given += option
                # The path of a key is no key.
                is_file = isinstance(parameter.type, click.Path)
                self._options += option if is_file else _without_credentials(option)
        shown = list(_without_credentials(words))
        # What follows is a command of the user's own, with options of its own.
        self._rest = shown if context.allow_interspersed_args or not shown else ["--", *shown]
        self._left_out = (self._options, shown) != (given, words)

    @property
    def left_out(self) -> bool:
        """Whether a credential is missing in it."""
        return self._left_out

    @property
    def whole(self) -> tuple[str, ...]:
        """The command, in words of a shell."""
        return self._with(self._choice)

    def of(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        """The command that tries these alone, in words of a shell."""
        own = {name_of(path): path for path in self._files}
        names = dict.fromkeys(plain_name(f.case.name.removesuffix(CRASH)) for f in findings)
        return self._with(["--only", ",".join(own.get(name, name) for name in names)])

    def _with(self, choice: Sequence[str]) -> tuple[str, ...]:
        words = [_PROGRAM, self._name, *choice, *self._options, *self._rest]
        return tuple(map(quoted, words))


def name_of(path: str) -> str:
    """The name of a certificate that stands in a file of the user's own."""
    return path.rpartition("/")[2].removesuffix(".md")


def quoted(word: str) -> str:
    """A word as a shell takes it, and nothing in it that a reader does not see.

    Of what is not printable, the shell makes what it was (`$'…'`, POSIX.1-2024 section 2.2.4).
    """
    if plain(word) == word:
        return shlex.quote(word)
    return "$'" + plain(word.replace("\\", "\\\\").replace("'", "\\'")) + "'"


def _option(parameter: click.Parameter, value: object) -> Iterator[str]:
    """An option, and what it was given, as on a command line."""
    name = parameter.opts[0]
    if value is True:
        yield name
    elif parameter.multiple and isinstance(value, tuple):
        for each in value:
            yield from (name, _text(each))
    elif isinstance(value, tuple):
        yield from (name, *map(_text, value))
    else:
        yield from (name, _text(value))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_credentials(words: Iterable[str]) -> Iterator[str]:
    """The words, without the values that go with the name of a credential, and what looks so."""
    before = ""
    for word in words:
        if before.startswith("-") and not word.startswith("-") and is_credential(_bare(before)):
            shown = _LEFT_OUT
        else:
            shown = _without_value(word)
        yield shown
        before = word


def _without_value(word: str) -> str:
    """Of `--token=…`, `TOKEN=…` and `authorization: …` the name; of others what may be told."""
    for sign in "=:":
        name, found, value = word.partition(sign)
        if found and value and is_credential(_bare(name)):
            return f"{name}{sign}{_LEFT_OUT}"
    return without_secrets(word, ())


def _bare(name: str) -> str:
    return name.strip().lstrip("-")
