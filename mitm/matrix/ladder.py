"""The past versions of a stack: which there are, and a client with each, in a place of its own.

They are made by the stack's own package manager, from wherever that is configured to fetch.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from mitm.errors import UserError
from mitm.lab.builds import cache, copy_sources, made_of
from mitm.lab.clients import Client, filled, load_client
from mitm.programs import run

# Seconds. gRPC for Go is compiled in a minute, on a machine that does nothing else.
_SECONDS = 1800.0

# Of more minor versions than these, some are passed over: each takes as long as an audit.
MOST = 12

_Version = tuple[int, ...]

_WANTED = re.compile(r"V\.\.V|V(,V)*".replace("V", r"\d{1,9}(\.\d{1,9})*"))


class Stack(NamedTuple):
    """A library whose versions are tried.

    Attributes:
        client: the client that is made of it.
        ask: asks its package manager which versions there are.
        read: reads the answer.
        make: the commands that install one version, in a folder of its own.
        command: how the client is then started.
    """

    client: str
    ask: tuple[str, ...]
    read: Callable[[str], list[str]]
    make: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]


# In these, `{here}` is a copy of the client's folder, and `{version}` what is to be installed.
STACKS: dict[str, Stack] = {
    "grpcio": Stack(
        "python",
        (sys.executable, "-m", "pip", "index", "versions", "grpcio"),
        lambda said: re.findall(r"[\d.]+", said.partition("versions:")[2].split("\n")[0]),
        (
            (sys.executable, "-m", "venv", "{here}/python"),
            (
                *("{here}/python/bin/python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--only-binary=:all:"),
                *("grpcio=={version}", "protobuf>=4.25"),
            ),
        ),
        ("{here}/python/bin/python", "{here}/client.py"),
    ),
    "grpc-go": Stack(
        "go",
        ("go", "list", "-m", "-versions", "google.golang.org/grpc"),
        lambda said: [word.removeprefix("v") for word in said.split()[1:]],
        (
            ("go", "get", "google.golang.org/grpc@v{version}"),
            ("go", "build", "-trimpath", "-o", "{here}/client", "."),
        ),
        ("{here}/client",),
    ),
    "grpc-js": Stack(
        "node",
        ("npm", "view", "@grpc/grpc-js", "versions", "--json"),
        lambda said: msgspec.json.decode(said, type=list[str]),
        (
            (
                *("npm", "install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"),
                "@grpc/grpc-js@{version}",
            ),
        ),
        ("node", "{here}/client.js"),
    ),
}


def read_range(words: str) -> tuple[str, str]:
    """The stack and its versions, of `grpcio=1.60..1.85`.

    Raises:
        UserError: it is no such text, or nothing is known of that stack.
    """
    name, sign, wanted = words.partition("=")
    if not sign or not _WANTED.fullmatch(wanted):
        raise UserError(
            f"--versions: {words!r} is not STACK=FROM..TO or STACK=VERSION,…: "
            "grpcio=1.60..1.85, say"
        )
    if name not in STACKS:
        raise UserError(f"--versions: no stack is called {name!r}: {', '.join(STACKS)}")
    return name, wanted


def chosen(known: list[str], wanted: str) -> list[str]:
    """The versions that are meant, the oldest first.

    Args:
        known: all that there are; what is not only numbers is passed over.
        wanted: `1.60..1.85`, of which each minor version is tried by its last release, or at most
            `MOST` of them, the first and the last two among those; or `1.60,1.70.1`, of which each
            is tried by the last release that begins so.

    Raises:
        UserError: there is none.
    """
    sound = [_numbers(version) for version in known if re.fullmatch(r"\d+(\.\d+)*", version)]
    sound.sort()
    first, dots, last = wanted.partition("..")
    found: list[_Version]
    if dots:
        low, high = _numbers(first), _numbers(last)
        within = [v for v in sound if low <= v and v[: len(high)] <= high]
        minors = {v[:2]: v for v in within}
        found = _thinned(list(minors.values()))
    else:
        starts = [_numbers(word) for word in wanted.split(",")]
        alike = [[v for v in sound if v[: len(start)] == start] for start in starts]
        found = sorted({versions[-1] for versions in alike if versions})
    if not found:
        raise UserError(f"--versions: there is none of {wanted}; the newest is {_told(sound[-1:])}")
    return [_told([version]) for version in found]


def _numbers(version: str) -> _Version:
    return tuple(int(part) for part in version.split(".") if part)


def _told(versions: list[_Version]) -> str:
    return ", ".join(".".join(map(str, version)) for version in versions)


def _thinned(versions: list[_Version]) -> list[_Version]:
    """Versions spread over all of these; what is newest matters most."""
    if len(versions) <= MOST:
        return versions
    *rest, before, last = versions
    step = (len(rest) - 1) / (MOST - 3)
    return [*(rest[round(step * number)] for number in range(MOST - 2)), before, last]


async def versions_of(name: str) -> list[str]:
    """All versions of a stack that its package manager knows.

    Raises:
        UserError: it is not here, or does not say.
    """
    stack = STACKS[name]
    ended = await run(stack.ask, _environment(), _SECONDS)
    try:
        if ended.code == 0 and (found := stack.read(ended.stdout.decode(errors="replace"))):
            return found
    except msgspec.DecodeError:
        pass
    words = " ".join(Path(word).name for word in stack.ask[:4])
    raise UserError(f"--versions: {words} does not tell the versions of {name}: {ended.said}")


async def client_with(name: str, version: str) -> Client:
    """The client of a stack with one version of it, made if it is not there.

    Args:
        name: of the stack.
        version: which.

    Raises:
        UserError: it cannot be made.
    """
    stack = STACKS[name]
    client = load_client(stack.client)
    here = cache("versions") / f"{name}-{version}-{made_of(client)}"
    try:
        if not here.is_dir():
            await _make(stack, client, version, here)
    except OSError as error:
        where = error.filename or here
        raise UserError(
            f"{name} {version} cannot be made: {where}: {error.strerror}; another place for what "
            "is made is named by XDG_CACHE_HOME"
        ) from None
    command = filled(stack.command, {"{here}": str(here)})
    return replace(
        client,
        name=f"{name} {version}",
        command=command,
        version=(*command, "--version"),
        requires=(),
        build=(),
    )


async def _make(stack: Stack, client: Client, version: str, here: Path) -> None:
    """Install it beside the place, and put it there when it is whole."""
    here.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{here.name}-", dir=here.parent) as unfinished:
        folder = Path(unfinished) / "made"
        copy_sources(client.folder, folder)
        values = {"{here}": str(folder), "{version}": version}
        for words in stack.make:
            ended = await run(filled(words, values), _environment(), _SECONDS, folder=folder)
            if ended.code != 0:
                raise UserError(f"{here.name} cannot be made: {Path(words[0]).name}: {ended.said}")
        _put(folder, here)


def _put(folder: Path, here: Path) -> None:
    try:
        folder.rename(here)
    except OSError:
        # Somebody else has made it meanwhile.
        if not here.is_dir():
            raise


def _environment() -> dict[str, str]:
    # What a caller's virtual environment or project says is about other versions.
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
