"""All that a room without a network installs from, gathered in a folder: for a stick, say."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mitm import content
from mitm.errors import UserError
from mitm.lab.builds import copy_sources
from mitm.lab.clients import filled, load_client
from mitm.learn.program import unavailable
from mitm.learn.stack import Stack
from mitm.programs import run

INSTALL = "install.sh"

# Seconds, for one command: it fetches from others.
_FETCH_SECONDS = 1800.0

# What is installed there: the page, and what the tests of an exercise are run by.
_EXTRA = "room"
_BESIDE = "pytest"

_STICK = "{stick}"

_SCRIPT = """\
#!/bin/sh
# Installs mitm-demo into a new folder, and builds the clients of the exercises, without a network:
#
#   sh install.sh [FOLDER]
set -eu
stick=$(cd "$(dirname "$0")" && pwd)
case $stick in *[[:space:]]*)
  echo "$stick: Maven takes no path with a space in it: copy this folder to another place" >&2
  exit 2
esac
place=${1:-mitm-demo}
python3 -m venv "$place"
"$place/bin/python" -m pip install --quiet --no-index --find-links "$stick/wheels" \\
  'mitm-demo[EXTRA]' BESIDE
BUILDS
echo "mitm-demo is in $place/bin. Type next: . $place/bin/activate && mitm-demo learn doctor"
"""


async def gather(
    folder: Path, stacks: Sequence[Stack], on_step: Callable[[str], None] = lambda step: None
) -> dict[str, str]:
    """Put into a folder what is fetched otherwise: wheels, and what the lab's clients are built of.

    What is there already is kept, so that machines of several kinds can gather in one folder.

    Args:
        folder: it is made if it is not there.
        stacks: for which; those whose tools are missing here are left out.
        on_step: told what is being fetched.

    Returns:
        The stacks that were left out, by title, each with the reason in a line.

    Raises:
        UserError: this is no checkout, something cannot be fetched, or the folder not be written.
    """
    if not (content.ROOT / "pyproject.toml").is_file():
        raise UserError(
            "wheels are made of a checkout of mitm-demo, and this is none: gather from there, by "
            ".venv/bin/mitm-demo learn gather FOLDER"
        )
    try:
        folder = _made(folder)
        on_step("Python")
        await _wheels(folder / "wheels")
        left_out = {}
        for stack in stacks:
            if stack.gather is None:
                continue
            if missing := await unavailable(stack):
                left_out[stack.title] = missing
                continue
            on_step(stack.title)
            await _modules(stack, folder)
        # Last: with it the folder is whole.
        (folder / INSTALL).write_text(_script(stacks), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return left_out


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


async def _wheels(folder: Path) -> None:
    wanted = (f"{content.ROOT}[{_EXTRA}]", _BESIDE)
    words = (sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), *wanted)
    await _fetch("Python", words, os.environ, folder.parent)


async def _modules(stack: Stack, folder: Path) -> None:
    """Fetch what a stack's client is built of, by a copy of it, which may be written in."""
    assert stack.gather
    values = {_STICK: str(folder), "{python}": sys.executable}
    more = {name: filled([value], values)[0] for name, value in stack.gather.environment.items()}
    with TemporaryDirectory(prefix="mitm-demo-") as name:
        copy = Path(name) / stack.client
        copy_sources(load_client(stack.client).folder, copy)
        for words in stack.gather.run:
            await _fetch(stack.title, filled(words, values), {**os.environ, **more}, copy)


async def _fetch(
    title: str, words: Sequence[str], environment: Mapping[str, str], folder: Path
) -> None:
    ended = await run(words, environment, _FETCH_SECONDS, folder=folder)
    if ended.code != 0:
        shown = " ".join(words)
        raise UserError(f"{title}: cannot be gathered: {ended.said or ended.code} ({shown})")


def _script(stacks: Sequence[Stack]) -> str:
    """What installs from the folder: a shell's script, as there is nothing else yet."""
    builds = []
    for stack in stacks:
        if stack.client:
            there = stack.gather.there if stack.gather else {}
            settings = [
                f'{name}="{value.replace(_STICK, "$stick")}"' for name, value in there.items()
            ]
            # A room may do without one of them.
            build = f'"$place/bin/mitm-demo" clients build {stack.client} || :'
            builds.append(" ".join(["env", *settings, build]))
    return (
        _SCRIPT.replace("EXTRA", _EXTRA)
        .replace("BESIDE", _BESIDE)
        .replace("BUILDS", "\n".join(builds))
    )
