"""What has changed between two matrices: a pure function."""

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

from mitm.matrix.record import Cell, Matrix, Row

# `unproved`: it was decided then, and is not any more. `other`: it differs, and neither is wrong.
Kind = Literal["worse", "unproved", "better", "other", "appeared", "vanished"]

# Of cells that nothing is wrong with.
_FINE = ("kept", "open")
_WRONG = ("broken", "crashed")
_DECIDED = (*_FINE, *_WRONG)


class Change(NamedTuple):
    """One thing that is not as it was.

    Attributes:
        case: "" for a whole row.
        before, after: in a few words.
    """

    kind: Kind
    client: str
    policy: str
    case: str
    before: str
    after: str

    def __str__(self) -> str:
        where = f"{self.client}, {self.policy}" + (f": {self.case}" if self.case else "")
        return f"{where}: {self.before} → {self.after}"


class Comparison(NamedTuple):
    """What came of comparing.

    Attributes:
        changes: in the order of the rows.
        versions: of clients whose version has changed: then and now, by client.
    """

    changes: tuple[Change, ...]
    versions: dict[str, tuple[str, str]]

    @property
    def exit_code(self) -> int:
        """1 if something got worse, 3 if something is not proved any more, 0 if neither."""
        kinds = {change.kind for change in self.changes}
        return 1 if "worse" in kinds else 3 if "unproved" in kinds else 0


def compare(old: Matrix, new: Matrix, tried: Collection[str] | None = None) -> Comparison:
    """Compare two matrices.

    Args:
        old: of then.
        new: of now. What it was not asked for is not missed: rows of other clients and policies.
        tried: the cases that were asked for now; None for all.
    """
    before = {row.key: row for row in old.rows}
    versions = {
        row.client: (before[row.key].version, row.version)
        for row in new.rows
        if row.key in before and row.version and before[row.key].version != row.version
    }
    changes: list[Change] = []
    for row in new.rows:
        if row.key in before:
            changes += compare_rows(before[row.key], row, tried)
        else:
            changes.append(Change("appeared", *row.key, "", "not tried", _row_in_words(row)))
    return Comparison(tuple(changes), versions)


def steps_of(matrix: Matrix) -> Iterator[tuple[Row, Row]]:
    """Of several versions of one client, each with the one before it, policy by policy."""
    for policy in dict.fromkeys(row.policy for row in matrix.rows):
        tried = [r for r in matrix.rows if r.policy == policy and r.state != "missing"]
        yield from pairwise(tried)


def compare_rows(old: Row, new: Row, tried: Collection[str] | None = None) -> Iterator[Change]:
    """Compare what two clients of one policy did, or one client then and now.

    Args:
        old: the one.
        new: the other, whose name stands in the changes.
        tried: the cases that were asked for now; None for all.
    """
    if (old.state, new.state) != ("tried", "tried"):
        if old.state != new.state:
            kind: Kind = "unproved" if old.state == "tried" else "other"
            yield Change(kind, *new.key, "", _row_in_words(old), _row_in_words(new))
        # What is seen without a control is seen: that somebody was let in.
        before = {cell.case: cell for cell in old.cells}
        for cell in new.differing:
            if cell.case not in before or before[cell.case].kept not in _WRONG:
                then = _in_words(before[cell.case]) if cell.case in before else "not tried"
                kind = "worse" if old.state in ("tried", "no-control") else "appeared"
                yield Change(kind, *new.key, cell.case, then, _in_words(cell))
        return
    cells = {cell.case: cell for cell in old.cells}
    for cell in new.cells:
        if (then_cell := cells.pop(cell.case, None)) is None:
            yield Change("appeared", *new.key, cell.case, "not tried", _in_words(cell))
        elif changed := _kind(then_cell, cell):
            yield Change(changed, *new.key, cell.case, _in_words(then_cell), _in_words(cell))
    for name, cell in cells.items():
        if tried is None or name in tried:
            yield Change("vanished", *new.key, name, _in_words(cell), "not tried")


def _kind(old: Cell, new: Cell) -> Kind | None:
    if (old.kept, old.did, old.crash) == (new.kept, new.did, new.crash):
        return None
    if new.kept == "crashed" and old.kept != "crashed":
        return "worse"
    if new.kept == "broken" and (old.kept != "broken" or old.did != new.did):
        return "worse"
    if old.kept in _WRONG and new.kept in _FINE:
        return "better"
    if old.kept in _FINE and new.kept == "untried":
        # A connection that did not come this time, say: nothing was refused, and nobody let in.
        return "other"
    if old.kept in _DECIDED and new.kept not in _DECIDED:
        return "unproved"
    return "other"


def _in_words(cell: Cell) -> str:
    """What became of a cell."""
    if cell.kept == "crashed":
        return f"crashed ({cell.crash})"
    if not cell.did:
        return cell.outcome
    return f"{cell.did}, against its policy" if cell.kept == "broken" else cell.did


def _row_in_words(row: Row) -> str:
    words = {"tried": "tried", "no-control": "nothing is proved"}
    return words.get(row.state, row.state)
