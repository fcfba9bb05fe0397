"""Clients made ready: what is to be built is built into a cache, if what that takes is here.

The cache is outside the content folder, which belongs to somebody else in an installed wheel. What
stands in it goes by its content: a change to a source, or of a tool, is built anew.
"""

import asyncio
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from mitm import content
from mitm.errors import UserError
from mitm.lab.clients import BUILD, Client, filled, places, surroundings
from mitm.lab.tools import Tool, all_missing, tools_of
from mitm.programs import Ended, run

# Seconds. A client may start a JVM to tell its version; a build compiles what others have written.
_ASK_SECONDS = 60.0
_BUILD_SECONDS = 3600.0
_POLL_SECONDS = 0.1

# What tools leave in a folder of sources: neither built from, nor copied.
_PRODUCTS = {
    *("node_modules", "target", "build", "__pycache__", ".git", ".gradle", ".idea", ".venv"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
}

# In each entry of the cache: the folder that it was built from.
_BUILT_FROM = ".built-from"


class ToolMissing(UserError):  # noqa: N818
    """Something that a client needs is not here."""


class NotBuilt(UserError):  # noqa: N818
    """A client is not built."""


class BuildFailed(UserError):  # noqa: N818
    """A client could not be built.

    Attributes:
        output: what the tool that failed has printed.
    """

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


async def ready(
    client: Client, on_step: Callable[[str], None] = lambda step: None, *, build: bool = True
) -> Client:
    """Make a client ready to be run: see that what it needs is here, and build it if it must be.

    Args:
        client: as it was loaded.
        on_step: told what is being done, in a few words, before something that takes long.
        build: False to leave it at what has been built before.

    Returns:
        The client, with all placeholders of its commands filled in.

    Raises:
        ToolMissing: something that it needs is not here.
        NotBuilt: it is not, and is not to be.
        UserError: the cache cannot be written, or a source not be read.
        BuildFailed: a command of its build has failed.
    """
    tools = await tools_of(client)
    if missing := all_missing(tools):
        raise ToolMissing(f"the client {client.name} cannot be run here: {missing}")
    if not client.build:
        return client
    entry = cache("clients") / f"{client.name}-{_digest(client, tools)}"
    try:
        if not _hold(entry):
            if not build:
                raise NotBuilt(
                    f"the client {client.name} is not built: mitm-demo clients build {client.name}"
                )
            await _make(client, entry, on_step)
    except OSError as error:
        where = error.filename or entry
        raise UserError(
            f"the client {client.name} cannot be built: {where}: {error.strerror}; another place "
            "for what is built is named by XDG_CACHE_HOME"
        ) from None
    here = places(client.folder, str(entry))
    return msgspec.structs.replace(
        client,
        command=filled(client.command, here),
        version=filled(client.version, here),
        built=str(entry),
    )


async def version_of(client: Client) -> str:
    """What a client says of its library and runtime, in a line; "" if it cannot be asked.

    Args:
        client: made ready.

    Raises:
        UserError: it does not tell.
    """
    if not client.version:
        return ""
    ended = await run(client.version, surroundings(os.environ), _ASK_SECONDS)
    lines = ended.stdout.decode(errors="replace").split("\n")
    if ended.code != 0 or not lines[0].strip():
        raise UserError(f"the client {client.name} does not tell its version: {ended.said}")
    return lines[0].strip()


def cache(kind: str) -> Path:
    """Where what is made for this program is kept, outside of all content.

    Args:
        kind: of what is made.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # A relative path is to be ignored (XDG Base Directory Specification).
    if not home.is_absolute():
        try:
            home = Path.home() / ".cache"
        except RuntimeError:
            raise UserError("you have no home directory here: name one by XDG_CACHE_HOME") from None
    return home / "mitm-demo" / kind


def made_of(client: Client) -> str:
    """A digest of a client's folder, and of the messages that it is made for.

    Raises:
        UserError: something there cannot be read.
    """
    return _digest_of(client.folder)


def _digest_of(folder: Path, facts: object = None, *but: Path) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    try:
        for root in (folder, content.PROTO / "users"):
            for path in _sources(root):
                if path not in but and (root == folder or path.suffix == ".proto"):
                    data = path.read_bytes()
                    about = f"\0{len(data)}\0{_is_program(path)}\0".encode()
                    digest.update(b"\0" + os.fsencode(path.relative_to(root)) + about + data)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> Iterator[Path]:
    """The files that a client is built from, the text that describes it among them."""
    for path in sorted(folder.iterdir()):
        if path.name in _PRODUCTS:
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.is_file():
            yield path


def _digest(client: Client, tools: list[Tool]) -> str:
    """What a client is made of, in short."""
    words = [word for command in client.build for word in command]
    facts: list[object] = [client.build, sys.platform, platform.machine()]
    facts += [(tool.needed.program, tool.said) for tool in tools]
    if any("{python}" in word for word in words):
        # An environment has several names for its interpreter.
        facts.append([sys.prefix, sys.version])
    # A word on what it is changes nothing of it.
    return _digest_of(client.folder, facts, client.folder / "README.md")


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


# The entries that this process uses, each with the descriptor that says so: a shared lock on its
# folder, which the system lets go of when the process ends.
_held: dict[Path, int] = {}


def _hold(entry: Path) -> bool:
    """Use an entry of the cache, so that nobody removes it; False if there is none."""
    if entry in _held and entry.exists():
        return True
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not entry.exists():
        # It was removed in between.
        os.close(descriptor)
        return False
    _held[entry] = descriptor
    return True


async def _make(client: Client, entry: Path, on_step: Callable[[str], None]) -> None:
    """Build an entry of the cache, unless somebody else does so meanwhile."""
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Of one name there is one build at a time, so that what a build that was killed has left behind
    # is known as that.
    beside = entry.parent / f"{client.name}.building"
    async with _locked(entry.parent / f"{client.name}.lock", client, on_step):
        if _hold(entry):
            return
        _remove(beside)
        try:
            copy_sources(client.folder, beside)
            await _build(client, beside, on_step)
            (beside / _BUILT_FROM).write_bytes(os.fsencode(client.folder))
            beside.rename(entry)
        finally:
            _remove(beside)
        _hold(entry)
        _remove_earlier(client, entry, beside)


@contextlib.asynccontextmanager
async def _locked(
    path: Path, client: Client, on_step: Callable[[str], None]
) -> AsyncIterator[None]:
    with path.open("w") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    on_step(f"waiting for {client.name}, which is being built elsewhere")
                told = True
                # Not in a thread, which Ctrl-C could not end.
                await asyncio.sleep(_POLL_SECONDS)
        yield


def copy_sources(folder: Path, to: Path) -> None:
    """Copy what a client is made from; what may not be written there may be in the copy."""
    to.mkdir(mode=0o700)
    for path in _sources(folder):
        copy = to / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        if _is_program(path):
            copy.chmod(0o700)


async def _build(client: Client, where: Path, on_step: Callable[[str], None]) -> None:
    environment = {**os.environ, "MITM_PROTO": str(content.PROTO)}
    for words in client.build:
        command = filled(words, places(client.folder, str(where)))
        shown = " ".join(words)
        on_step(f"building {client.name}: {shown}")
        ended = await run(command, environment, _BUILD_SECONDS, folder=where)
        if ended.code != 0:
            raise BuildFailed(
                f"the client {client.name} could not be built: {shown}: {ended.said}",
                _printed(ended),
            )
    program = client.command[0]
    if program.startswith(BUILD) and not shutil.which(program.replace(BUILD, str(where))):
        raise BuildFailed(
            f"the client {client.name} could not be built: there is no {program} afterwards", ""
        )


def _printed(ended: Ended) -> str:
    return b"\n".join(filter(None, (ended.stdout, ended.stderr))).decode(errors="replace")


def _remove_earlier(client: Client, entry: Path, beside: Path) -> None:
    """Remove what the same folder was built into before, unless somebody still uses it."""
    for other in entry.parent.glob(f"{glob.escape(client.name)}-*"):
        try:
            built_from = Path(os.fsdecode((other / _BUILT_FROM).read_bytes()))
        except OSError:
            continue
        if other == entry or (built_from != client.folder and built_from.exists()):
            continue
        if other in _held:
            os.close(_held.pop(other))
        descriptor = os.open(other, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # In one go, so that what is half removed is not taken for whole.
            other.rename(beside)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
        _remove(beside)


def _remove(folder: Path) -> None:
    # Go's module cache, say, is read-only.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder, onerror=_writable)


def _writable(function: Callable[[str], object], path: str, _: object) -> None:
    Path(path).parent.chmod(0o700)
    function(path)
