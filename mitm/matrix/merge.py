"""Matrices of several hosts, each of which has tried some rows, made one again."""

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from mitm.errors import UserError
from mitm.lab.policies import POLICIES
from mitm.matrix.record import Matrix, Row, Share


def merge(parts: Sequence[tuple[Path, Matrix]]) -> Matrix:
    """Put the rows of several hosts together: shards of one matrix, or matrices of other clients.

    A client that one host has not is taken from the one that has it.

    Args:
        parts: at least one, in any order, with the files that they were read from.

    Returns:
        One matrix; its share tells which shards there are, if not all.

    Raises:
        UserError: they do not belong together, or one of them is not whole.
    """
    rows: dict[tuple[str, str], tuple[Path, Row]] = {}
    shards: dict[int, Path] = {}
    reference, first = parts[0]
    versions: dict[str, tuple[Path, str]] = {}
    for path, matrix in parts:
        _must_belong(path, matrix, reference, first)
        if matrix.share:
            _note_shards(path, matrix.share, shards)
        _must_be_whole(path, matrix)
        for row in matrix.rows:
            _must_be_one_client(path, row, versions)
            where, other = rows.setdefault(row.key, (path, row))
            if where is path or row.state == "missing":
                continue
            if other.state != "missing":
                raise UserError(
                    f"{row.client} with policy {row.policy} stands in both {where} and {path}: "
                    "name each report once"
                )
            rows[row.key] = path, row
    share = first.share and structs.replace(first.share, shards=tuple(sorted(shards)))
    together = tuple(sorted((row for _, row in rows.values()), key=_place))
    return structs.replace(first, rows=together, share=share if share and share.missing else None)


def _place(row: Row) -> tuple[list[tuple[int, str]], int]:
    """The order in which a matrix tells its rows: clients, by their versions, and policies."""
    parts = [
        (int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", row.client)
    ]
    return parts, [*POLICIES, row.policy].index(row.policy)


def _note_shards(path: Path, share: Share, shards: dict[int, Path]) -> None:
    if max(share.shards) > share.of or share.of > share.rows:
        raise UserError(f"{path} has shards {share.shards} of {share.of}: there are none such")
    for number in share.shards:
        if number in shards:
            raise UserError(
                f"shard {number} of {share.of} stands in both {shards[number]} and {path}: "
                "name each report once"
            )
        shards[number] = path


def _must_be_whole(path: Path, matrix: Matrix) -> None:
    share = matrix.share
    missing = share.expected - len(matrix.rows) if share else matrix.to_try
    if missing:
        raise UserError(
            f"{path} is not whole: it has {len(matrix.rows)} of {len(matrix.rows) + missing} rows; "
            "go on with --continue where it was made"
        )


def _must_be_one_client(path: Path, row: Row, versions: dict[str, tuple[Path, str]]) -> None:
    if not row.version:
        return
    where, version = versions.setdefault(row.client, (path, row.version))
    if version != row.version:
        raise UserError(
            f"{path} and {where} do not belong together: another version of {row.client}: "
            f"{row.version} and {version}"
        )


def _must_belong(path: Path, matrix: Matrix, reference: Path, first: Matrix) -> None:
    shares = [(each.share.of, each.share.rows) if each.share else None for each in (matrix, first)]
    cases = [
        [(case.name, case.expect, case.severity, case.rule) for case in each.cases]
        for each in (matrix, first)
    ]
    for what, same in (
        ("version of mitm-demo", matrix.tool == first.tool),
        ("name under test", matrix.name == first.name),
        ("number of shards, or of rows in all", shares[0] == shares[1]),
        ("choice of certificates", cases[0] == cases[1] and matrix.made_of == first.made_of),
    ):
        if not same:
            raise UserError(f"{path} and {reference} do not belong together: another {what}")
