"""Cells and rows made by hand."""

from typing import Any

from mitm.matrix.record import Cell, Kept, Matrix, Row, ShownCase

_DID: dict[Kept, str] = {"kept": "refused", "broken": "took", "open": "took"}


def cell(case: str, kept: Kept, **more: Any) -> Cell:
    """A cell of a case that is to be refused."""
    fields: dict[str, Any] = {
        "promise": "open" if kept == "open" else "refuse",
        "binding": kept != "open",
        "did": _DID.get(kept, ""),
        "outcome": "pass" if kept == "kept" else "vulnerable",
        "reason": "a reason",
    }
    return Cell(case=case, kept=kept, **{**fields, **more})


def row(*cells: Cell, **more: Any) -> Row:
    """A row of the client `go`, policy `ca-file`."""
    fields: dict[str, Any] = {"client": "go", "title": "Go", "policy": "ca-file", "state": "tried"}
    return Row(cells=cells, **{**fields, **more})


def matrix(*rows: Row) -> Matrix:
    """Rows over the cases that are in them."""
    names = dict.fromkeys(each.case for row in rows for each in row.cells)
    cases = [
        ShownCase(name, f"Title of {name}", "trust", "reject", "must", "a rule", ("CN=x",))
        for name in names
    ]
    return Matrix({"name": "mitm-demo", "version": "0"}, "name.example", tuple(cases), rows)
