"""Which program a command line is about: wrappers, shells and interpreters are seen through."""

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """What a command line runs.

    Attributes:
        runtime: the interpreter, shell or tool that runs it, by its name; "" if it runs by itself.
        file: the program: a path, or the name of a command or module.
    """

    runtime: str
    file: str

    @property
    def name(self) -> str:
        """What it is called; `go run .` runs what its folder is called."""
        return Path(self.file).name or Path(self.file).resolve().name or self.file


# Programs that run another one, and their options that take a word of their own.
_WRAPPERS = {
    "env": {"-u", "--unset", "-C", "--chdir"},
    "ionice": {"-c", "-n"},
    "nice": {"-n", "--adjustment"},
    "nohup": set[str](),
    "setsid": set[str](),
    "stdbuf": {"-i", "-o", "-e"},
    "sudo": {"-u", "--user", "-g", "--group"},
    "time": {"-f", "--format", "-o", "--output"},
    "timeout": {"-k", "--kill-after", "-s", "--signal"},
    "xvfb-run": {"-n", "--server-num", "-s", "--server-args"},
}
_SHELLS = {"ash", "bash", "dash", "ksh", "sh", "zsh"}

# The same for interpreters and build tools; the command of a tool by which it runs a program.
_INTERPRETERS = {
    "dotnet": set[str](),
    "java": {"-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"},
    "node": {"-r", "--require", "--import", "--loader", "-C", "--conditions"},
    "perl": {"-I", "-M"},
    "php": {"-d"},
    "python": {"-W", "-X"},
    "ruby": {"-I", "-r"},
}
_TOOLS = {"bun": "run", "cargo": "run", "deno": "run", "go": "run", "npx": "", "uv": "run"}
_TOOLS_OPTIONS = {"--from", "--with", "-C", "-exec", "-p", "--package", "-tags"}

_PYTHON = re.compile(r"(python|pypy)\d*(\.\d+)*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)

# Wrappers around wrappers: nobody has that many.
_DEPTH = 10


def program_of(words: Sequence[str]) -> Program:
    """Find the program that a command line is about.

    Args:
        words: program and arguments, at least one word.
    """
    return _find(words, _DEPTH) or Program("", words[0])


def _find(words: Sequence[str], depth: int) -> Program | None:
    words = _without_assignments(words)
    if not words or not depth:
        return None
    name, rest = Path(words[0]).name, words[1:]
    if name in _WRAPPERS:
        return _behind_wrapper(name, rest, depth)
    if name in _SHELLS:
        return _of_shell(name, rest, depth)
    if name in _TOOLS:
        return _of_tool(name, rest, depth)
    kind = "python" if _PYTHON.fullmatch(name) else name
    if kind in _INTERPRETERS:
        return Program(name, _script(name, rest, _INTERPRETERS[kind]))
    return Program("", words[0])


def _without_assignments(words: Sequence[str]) -> Sequence[str]:
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return words


def _without_options(words: Sequence[str], taking: set[str]) -> Sequence[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in taking else 1 :]
    return words


def _behind_wrapper(name: str, words: Sequence[str], depth: int) -> Program | None:
    if name == "env" and words and words[0] in ("-S", "--split-string"):
        return _find(_split(" ".join(words[1:])), depth - 1)
    words = _without_assignments(_without_options(words, _WRAPPERS[name]))
    # `timeout 5 ./client`
    return _find(words[1:] if name == "timeout" else words, depth - 1)


def _of_shell(name: str, words: Sequence[str], depth: int) -> Program | None:
    """A shell runs a script, or with `-c` a line of commands, of which the last one counts."""
    while words and words[0].startswith("-"):
        option, words = words[0], words[1:]
        if words and re.fullmatch(r"-[a-z]*c", option):
            commands = re.split(r"&&|\|\||[;|&\n]", words[0])
            found = (_find(_split(line), depth - 1) for line in reversed(commands))
            return next(filter(None, found), None)
    return Program(name, words[0]) if words else None


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _script(name: str, words: Sequence[str], taking: set[str]) -> str:
    """What an interpreter runs; its own name if it is given the program in a word."""
    while words and words[0].startswith("-"):
        option = words[0]
        if option in ("-m", "--module", "-jar") and len(words) > 1:
            return words[1]
        if option in ("-c", "-e", "--eval", "-"):
            return name
        words = words[2 if option in taking else 1 :]
    return words[0] if words else name


def _of_tool(name: str, words: Sequence[str], depth: int) -> Program:
    """`go run ./cmd/client`, `uv run client.py`, `cargo run --bin client`."""
    if _TOOLS[name]:
        if not words or words[0] != _TOOLS[name]:
            return Program(name, name)
        words = words[1:]
    if name == "cargo":
        named = pairwise(words)
        wanted = (value for option, value in named if option in ("--bin", "--example"))
        return Program(name, next(wanted, name))
    words = _without_options(words, _TOOLS_OPTIONS)
    if name == "uv":
        return _find(words, depth - 1) or Program(name, name)
    return Program(name, words[0] if words else name)
