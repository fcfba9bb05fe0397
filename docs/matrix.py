"""Writes docs/matrix.html, and the tables of docs/matrix.md: python -m docs.matrix MATRIX.json."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from docs.marked import filled
from docs.withheld import matrices
from mitm.html.matrix import matrix_page as as_html
from mitm.matrix.record import Cell, Matrix, Row

PAGE = Path(__file__).with_name("matrix.md")


def parts(matrix: Matrix) -> dict[str, str]:
    """What the page says, by the name of the place where it stands."""
    return {
        "versions": _versions(matrix),
        "counts": _counts(matrix),
        "differing": _differing(matrix),
        "stacks": _stacks(matrix, "ca-file"),
        "skip": _stacks(matrix, "skip-verify"),
        "unsupported": _unsupported(matrix),
    }


def _versions(matrix: Matrix) -> str:
    told = {row.client: row for row in matrix.rows}
    lines = [f"| `{row.client}` | {row.title} | {row.version} |" for row in told.values()]
    return _table(["client", "stack", "versions"], lines)


def _counts(matrix: Matrix) -> str:
    kinds = ("kept", "open", "broken", "crashed", "undecided", "untried")
    lines = []
    for row in matrix.rows:
        if row.state == "tried":
            numbers = " | ".join(str(row.count(kind) or "") for kind in kinds)  # type: ignore[arg-type]
            lines.append(f"| `{row.client}` | `{row.policy}` | {numbers} |")
    return _table(["client", "policy", *kinds], lines)


def _differing(matrix: Matrix) -> str:
    """The cells that are not as promised, by case: who, and by which policies."""
    found: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    severities = {case.name: case.severity for case in matrix.cases}
    order = {case.name: at for at, case in enumerate(matrix.cases)}
    for row in matrix.rows:
        for cell in row.differing:
            key = (cell.case, severities[cell.case], _deed(cell))
            found.setdefault(key, {}).setdefault(row.client, []).append(row.policy)
    lines = [
        f"| `{case}` | {severity} | {deed} | {_who(who)} |"
        for (case, severity, deed), who in sorted(found.items(), key=lambda e: order[e[0][0]])
    ]
    return _table(["case", "severity", "what", "client and policies"], lines)


def _deed(cell: Cell) -> str:
    if cell.kept == "crashed":
        return f"ended by {cell.crash}"
    words = "let in" if cell.did == "took" else "turned away"
    return f"**{words}**" if cell.binding else words


def _who(who: dict[str, list[str]]) -> str:
    return "; ".join(f"`{client}`: {', '.join(policies)}" for client, policies in who.items())


def _stacks(matrix: Matrix, policy: str) -> str:
    """The cases of which clients of one policy do different things."""
    rows = [row for row in matrix.rows if row.policy == policy and row.state == "tried"]
    cells = {row.client: {cell.case: cell for cell in row.cells} for row in rows}
    lines = []
    for case in matrix.cases:
        deeds = [cells[row.client].get(case.name) for row in rows]
        if len({cell.did for cell in deeds if cell and cell.did}) > 1:
            told = " | ".join(_sign(cell) for cell in deeds)
            expected = "let in" if case.expect == "accept" else "turn away"
            lines.append(f"| `{case.name}` | {case.severity}, {expected} | {told} |")
    return _table(["case", "a correct client", *(f"`{row.client}`" for row in rows)], lines)


def _sign(cell: Cell | None) -> str:
    if cell is None or not cell.did:
        return "·"
    return "lets in" if cell.did == "took" else ""


def _unsupported(matrix: Matrix) -> str:
    lines = [
        f"| `{row.client}` | `{row.policy}` | {_state(row)} | {row.reason} |"
        for row in matrix.rows
        if row.state != "tried"
    ]
    return _table(["client", "policy", "", "why"], lines)


def _state(row: Row) -> str:
    words = {"no-control": "nothing is proved", "unsupported": "not to be had"}
    return words.get(row.state, row.state)


def _table(head: Sequence[str], lines: Iterable[str]) -> str:
    ruled = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    return "\n".join(["", *ruled, *lines, ""])


def main() -> int:
    (matrix,) = matrices("docs.matrix")
    PAGE.write_text(filled(PAGE.read_text(), parts(matrix)))
    PAGE.with_suffix(".html").write_text(as_html(matrix))
    return 0


if __name__ == "__main__":
    sys.exit(main())
