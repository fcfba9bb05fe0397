"""Markdown files with YAML front matter: a script or recipe first, the lesson below it."""

from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from mitm.errors import UserError

T = TypeVar("T")

_FENCE = "---"


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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    head, fence, rest = text.partition("\n")
    front, closing, body = rest.partition(f"\n{_FENCE}\n")
    if head.strip() != _FENCE or not fence or not closing:
        raise UserError(f"{path}: front matter must begin and end with a line of '---'")
    try:
        data = yaml.safe_load(front)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: front matter is not YAML: {reason}") from None
    return convert(path, data, type), body.strip() + "\n"


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
