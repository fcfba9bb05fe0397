"""`mitm-demo learn doctor`: what can be done on this machine, ten minutes before a class."""

import os
import platform
import socket
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rich.text import Text

from mitm.address import LOCALHOST
from mitm.cli import report
from mitm.errors import UserError
from mitm.lab.builds import NotBuilt, ToolMissing, ready
from mitm.lab.clients import load_client
from mitm.learn.course import begin
from mitm.learn.exercise import Exercise, SuiteRules
from mitm.learn.folder import FALLBACK, Folder
from mitm.learn.program import unavailable
from mitm.learn.stack import Stack, stacks
from mitm.masking import plain

# What is played to see that all works: it is red as it is.
_PLAYED = "skip-verify"


async def examine() -> int:
    """Look at all that the exercises need, and play one.

    Returns:
        The exit code: 1 if those in Python cannot be done.
    """
    _tell("Python", f"{platform.python_version()}, grpcio {version('grpcio')}")
    well = [_ports(), _folder(), await _play()]
    _tell("keys", "" if sys.stdin.isatty() else "this is no terminal: mitm-demo learn check")
    known = stacks()
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as name:
        course = begin(Folder(Path(name) / "learn"), FALLBACK)
    for stack in known.values():
        await _stack(stack, [e for e in course.exercises if stack.name in e.stacks])
    return 0 if all(well) else 1


def _ports() -> bool:
    """Whether this machine listens to itself, by the name that clients dial."""
    try:
        found = socket.getaddrinfo(LOCALHOST, 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as listener:
                listener.bind(address)
    except OSError as error:
        _tell("loopback", "", f"cannot listen on {LOCALHOST}: {error.strerror}", bad=True)
        return False
    _tell("loopback", f"{LOCALHOST} is {', '.join(dict.fromkeys(str(a[4][0]) for a in found))}")
    return True


def _folder() -> bool:
    here = Path.cwd()
    if Folder.find(here):
        _tell("folder", f"{here}: the exercises are here")
    elif not os.access(here, os.W_OK):
        _tell("folder", "", f"{here} cannot be written: go to another one", bad=True)
        return False
    elif any(here.iterdir()):
        _tell("folder", "", "take an empty one: mitm-demo learn start FOLDER")
    else:
        _tell("folder", f"{here}: empty, mitm-demo learn begins here")
    return True


async def _play() -> bool:
    """Play an exercise as it is at first, which must come out red."""
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as name:
        course = begin(Folder(Path(name) / "learn"), FALLBACK)
        begun = time.monotonic()
        try:
            graded = await course.check(course.find(_PLAYED))
        except UserError as error:
            _tell("a check", "", str(error), bad=True)
            return False
    seconds = time.monotonic() - begun
    if graded.outcome != "red":
        _tell("a check", "", f"it does not come out as it should: {graded.reason}", bad=True)
        return False
    _tell("a check", f"{seconds:.1f} s for {_PLAYED}, and the token leaks as it should")
    return True


async def _stack(stack: Stack, there: list[Exercise]) -> None:
    """What can be done in a stack, and what it takes where it cannot."""
    numbers = ", ".join(str(exercise.order) for exercise in there)
    if missing := await unavailable(stack):
        _tell(stack.title, "", f"exercises {numbers}: {missing}")
        return
    if stack.client:
        try:
            await ready(load_client(stack.client), build=False)
        except NotBuilt:
            build = f"mitm-demo clients build {stack.client}"
            _tell(stack.title, "", f"exercises {numbers}: to be built beforehand: {build}")
            return
        except (ToolMissing, UserError) as error:
            _tell(stack.title, "", str(error))
            return
    tests = [str(e.order) for e in there if isinstance(e.grade, SuiteRules)]
    needs_pytest = stack.name == FALLBACK and tests and not find_spec("pytest")
    missing = f"{', '.join(tests)} takes pytest: pip install pytest" if needs_pytest else ""
    _tell(stack.title, f"exercises {numbers}", missing)


def _tell(what: str, found: str, missing: str = "", *, bad: bool = False) -> None:
    style = ("harm" if bad else "caution") if missing else ""
    text = found + (f"{'; ' if found else ''}{missing}" if missing else "")
    line = Text.assemble(f"{plain(what):<15}  ", (plain(text) or "ok", style))
    report.console().print(line, soft_wrap=True)
