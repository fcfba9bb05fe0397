"""Where in a repository a client's code stands, for reports that are read beside it."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mitm.audit.program import program_of
from mitm.errors import UserError

# Digits of a line's number: nobody has files that are longer.
_DIGITS = 9


class Source(msgspec.Struct, frozen=True):
    """A place in a client's code.

    Attributes:
        file: its path, from the root of the repository, with slashes.
        line: from 1.
    """

    file: str
    line: int = 1


def source_at(place: str) -> Source:
    """The place that a user has named.

    Args:
        place: `FILE` or `FILE:LINE`.

    Raises:
        UserError: there is no such file or line, or it stands outside of what is reported on.
    """
    path, line = Path(place), 0
    name, colon, number = place.rpartition(":")
    if colon and number.isascii() and number.isdigit() and not _is_file(path):
        path, line = Path(name), int(number[:_DIGITS])
        if not line:
            raise UserError(f"--source {place}: lines begin at 1")
    if not _is_file(path):
        raise UserError(f"--source {place}: there is no such file; write FILE or FILE:LINE")
    if line:
        _must_have(path, line, place)
    # What a link is called is in the repository, wherever it leads to.
    full = path.parent.resolve() / path.name
    root = _root_above(full.parent) or Path.cwd()
    if not full.is_relative_to(root):
        raise UserError(
            f"--source {place}: it stands outside of {root}, and in no repository (.git): call "
            "mitm-demo in the folder that the report is about"
        )
    return Source(full.relative_to(root).as_posix(), line or 1)


def source_of_command(words: Sequence[str]) -> Source:
    """The file that a client is run from, by its command line, or else its name.

    Args:
        words: of the command. Only that file is told: the rest may hold a credential.
    """
    if not words:
        return Source("")
    here = Path.cwd()
    root = _root_above(here) or here
    ran = program_of(words)
    for word in (ran.file, *words):
        path = Path(word)
        try:
            if path.is_dir():
                # As `go run` takes it.
                path /= "main.go"
            known = path.is_file() and path.resolve().is_relative_to(root)
            # Behind a wrapper that we do not know there may be a program.
            if known and (word == ran.file or os.access(path, os.X_OK)):
                return Source(path.resolve().relative_to(root).as_posix())
        except (OSError, ValueError):
            # Longer than a file name can be, for example.
            continue
    return Source(ran.name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _must_have(path: Path, line: int, place: str) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"--source {place}: cannot read {path}: {error.strerror}") from None
    count = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    if line > count:
        lines = "1 line" if count == 1 else f"{count} lines"
        raise UserError(f"--source {place}: {path} has {lines}")


def _root_above(folder: Path) -> Path | None:
    """The repository that a folder stands in: code scanning names files from its root."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
