"""Markdown files with YAML front matter: a script or recipe first, the lesson below it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from mitm.errors import UserError

T = TypeVar("T")

_FENCE = "---"

# libyaml's, eight times as fast, where PyYAML was built with it: the catalogue is a hundred files.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(path: Path, type: type[T]) -> tuple[T, str]:  # noqa: A002
    """Read a content file.

    Args:
        path: a Markdown file that begins with front matter between two `---` lines.
        type: the msgspec structure that the front matter must fit.

    Returns:
        The front matter as that structure, and the Markdown body.

    Raises:
        UserError: the file cannot be read or does not fit; file, key and reason are named.
    """
    try:
        # Some editors begin a file with a byte order mark.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read: it is not UTF-8 text") from None
    fences = [number for number, line in enumerate(lines) if line.rstrip() == _FENCE][:2]
    if len(fences) < 2 or fences[0] != 0:
        raise UserError(f"{path}: front matter must begin and end with a line of '---'")
    end = fences[1]
    # The empty line takes the place of the first fence, so that line numbers are the file's.
    text = "\n".join(["", *lines[1:end]])
    try:
        data = _parsed(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}: line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The 30th of February is a ValueError.
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: front matter is not YAML: {reason}") from None
    return convert(path, data, type), "\n".join(lines[end + 1 :]).strip() + "\n"


def _parsed(text: str) -> object:
    try:
        return yaml.load(text, _LOADER)  # noqa: S506
    except yaml.YAMLError:
        # libyaml tells some mistakes by the line after them.
        return yaml.safe_load(text)


def has_key(path: Path, keys: Iterable[str]) -> str:
    """The first of these keys that a file's front matter has, whatever else is wrong with it.

    What a lesson says is no key.

    Returns:
        That key; "" for none.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    front = text.split("\n---", 1)[0]
    return next((key for key in keys if f"\n{key}:" in front), "")


def convert(path: Path, data: object, type: type[T], within: str = "") -> T:  # noqa: A002
    """Fit a piece of front matter to a structure.

    Args:
        path: the file that it comes from, for the error message.
        data: as YAML gave it.
        type: the msgspec structure to fit.
        within: the key below which it stands, for the error message.

    Raises:
        UserError: it does not fit; file, key and reason are named.
    """
    try:
        return msgspec.convert(data, type)
    except RecursionError:
        raise UserError(f"{path}: {within or 'front matter'}: it contains itself") from None
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        key = (within + where.rstrip("`")).lstrip(".") or "front matter"
        raise UserError(f"{path}: {key}: {reason}") from None


def section(body: str, heading: str) -> str:
    """The text under a `## heading` of a Markdown body, heading left out; "" if there is none."""
    inside, lines = False, []
    for line in body.splitlines():
        if line.startswith("## "):
            inside = line.removeprefix("## ").strip().lower() == heading.lower()
        elif inside:
            lines.append(line)
    return "\n".join(lines).strip()
