"""Where the content stands: certificates, scenarios, exercises, clients, server, messages.

In a checkout the content folders lie beside the `mitm` package; in an installed wheel they lie
inside it, because top-level packages named `server` or `proto` would collide with other people's.
"""

import difflib
import os
from pathlib import Path

from mitm.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "content"
ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent

CERTS = ROOT / "certs"
ATTACKS = CERTS / "attacks"
OFFERS = CERTS / "offers"
WAYS = CERTS / "clients"
CLIENTS = ROOT / "client"
ERRORS = CERTS / "errors.json"
PROTO = ROOT / "proto"
SCENARIOS = ROOT / "scenarios"
EXERCISES = ROOT / "exercises"
STACKS = EXERCISES / "stacks"
SESSION = ROOT / "session"
SERVER = ROOT / "server" / "server.py"
INGRESS = ROOT / "server" / "ingress.py"

# Of more names than these, a line of them helps nobody.
_MOST_TOLD = 20


def find(kind: str, known: dict[str, Path], name: str) -> Path:
    """Resolve what a user typed, a known name or a path of their own, to a file.

    Args:
        kind: what is looked for, in the words of the error message ("scenario").
        known: the names that come with the project.
        name: a known name, or a path (it holds a separator, ends in `.md`, or is `.` or `..`).

    Raises:
        UserError: nothing goes by that name; the nearest known name is suggested.
    """
    if not name:
        raise UserError(f"the name of a {kind} is empty: see what there is with mitm-demo list")
    if name in known:
        return known[name]
    path = Path(name)
    near = difflib.get_close_matches(name, known, n=1)
    if is_path(name):
        if _exists(path):
            return path
        hint = f": did you mean {near[0]!r}?" if near and is_path(near[0]) else ""
        raise UserError(f"no {kind} file at {name}{hint}")
    if _exists(path):
        raise UserError(f"unknown {kind} {name!r}: for what lies here, write .{os.sep}{name}")
    hint = f"known: {', '.join(sorted(known))}"
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif len(known) > _MOST_TOLD:
        hint = "see what there is with mitm-demo list"
    raise UserError(f"unknown {kind} {name!r}: {hint}")


def is_path(name: str) -> bool:
    """Whether what a user typed can only be a file, or folder, of their own."""
    return os.sep in name or name.endswith(".md") or name in (os.curdir, os.pardir)


def to_try() -> dict[str, Path]:
    """The files of all that a client can be tried with, by name."""
    return {n: p for folder in (CERTS, ATTACKS, OFFERS) for n, p in markdown_files(folder).items()}


def ways() -> dict[str, Path]:
    """The files of all ways into a server that clients can try, by name."""
    return markdown_files(WAYS)


def session_files() -> dict[str, Path]:
    """What is copied into the tests of a client, one file a stack, by name: `session/go`."""
    return {f"session/{path.parent.name}": path for path in sorted(SESSION.glob("*/[mM]itm.*"))}


def exercise_folders() -> dict[str, Path]:
    """The folders of all exercises, by name."""
    return {readme.parent.name: readme.parent for readme in sorted(EXERCISES.glob("*/README.md"))}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A name that is too long for a file, say.
        return False


def markdown_files(folder: Path) -> dict[str, Path]:
    """The content files of a folder by name; a README explains the folder and is none of them."""
    with os.scandir(folder) as entries:
        found = sorted(each.name for each in entries if each.name.endswith(".md"))
    return {name.removesuffix(".md"): folder / name for name in found if name != "README.md"}
