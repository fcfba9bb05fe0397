"""What must be installed for a client: looked for, and asked for its version."""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence

import msgspec

from mitm.errors import UserError
from mitm.lab.clients import Client, Requirement
from mitm.masking import shortened
from mitm.programs import run

# Seconds. `mvn --version` starts a JVM.
_ASK_SECONDS = 60.0

# Characters of a version, or of what a tool says that has no number for it.
_TOLD = 60

# Numbers with dots between them are looked for first.
_VERSIONS = (re.compile(r"\d+(?:\.\d+)+"), re.compile(r"\d+"))

# Names of packages and nothing else.
_BY_APT = re.compile(r"apt install [\w.+-]+( [\w.+-]+)*")


class Tool(msgspec.Struct, frozen=True):
    """Something that a client needs, and what of it is here.

    Attributes:
        said: what it says of its version, "" if it was not asked.
        found: its version, or where it is; "" if it is missing.
        missing: what is missing, and how one comes by it, in a line; "" if it will do.
    """

    needed: Requirement
    said: str = ""
    found: str = ""
    missing: str = ""


async def tools_of(client: Client) -> list[Tool]:
    """Look for what a client needs."""
    return await look_for(client.requires)


async def look_for(requirements: Sequence[Requirement]) -> list[Tool]:
    """Look for what must be installed."""
    return list(await asyncio.gather(*map(_look_for, requirements)))


def all_missing(tools: Sequence[Tool]) -> str:
    """What is missing of these, and how one comes by it, in a line; "" for nothing.

    What is got by `apt install` is got by one.
    """
    absent = [tool for tool in tools if tool.missing and not tool.said]
    by_apt = [tool for tool in absent if _BY_APT.fullmatch(tool.needed.install)]
    if len(by_apt) == 1:
        by_apt = []
    told = [tool.missing for tool in tools if tool.missing and tool not in by_apt]
    if by_apt:
        names = ", ".join(tool.needed.told for tool in by_apt)
        packages = " ".join(tool.needed.install.removeprefix("apt install ") for tool in by_apt)
        told.append(f"{names} are not installed: apt install {packages}")
    return "; ".join(told)


async def _look_for(needed: Requirement) -> Tool:
    hint = f": {needed.install}" if needed.install else ""
    absent = Tool(needed, missing=f"{needed.told} is not installed{hint}")
    path = shutil.which((needed.ask or (needed.program,))[0])
    if not path:
        return absent
    if not needed.ask:
        return Tool(needed, found=path)
    try:
        ended = await run([path, *needed.ask[1:]], os.environ, _ASK_SECONDS)
    except UserError:
        return absent
    if ended.code != 0:
        return absent
    # `java -version` tells it on stderr.
    said = " ".join((ended.stdout + ended.stderr).decode(errors="replace").split())
    versions = (version[0] for kind in _VERSIONS if (version := kind.search(said)))
    found = shortened(next(versions, said), _TOLD)
    if needed.version and _numbers(found) < _numbers(needed.version):
        here = f"{needed.program} {found} is here, {needed.version} is needed"
        return Tool(needed, said, missing=f"{here}{hint}")
    return Tool(needed, said, found)


def _numbers(version: str) -> list[int]:
    # 17 is no less than 17.0.
    numbers = [int(part) for part in version.split(".") if part.isdecimal()]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
