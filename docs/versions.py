"""Writes the tables of docs/versions.md from runs: python -m docs.versions GRPCIO.json …"""

import sys
from pathlib import Path

from docs.marked import filled
from docs.withheld import matrices
from mitm.cli.matrix_table import lines_of
from mitm.matrix.against import compare_rows, steps_of
from mitm.matrix.record import Cell, Matrix, Row

PAGE = Path(__file__).with_name("versions.md")


def ladder(matrix: Matrix) -> str:
    """One line a version: what differs from what is promised, and what the version has changed."""
    changed = {after.key: _changed(before, after) for before, after in steps_of(matrix)}
    lines = ["", "| version | against its policy, or ended by it | against the one before it |"]
    lines.append("| --- | --- | --- |")
    for row in reversed(matrix.rows):
        if row.state == "missing":
            continue
        wrong = ", ".join(map(_told, row.differing)) if row.state == "tried" else row.reason
        news = changed.get(row.key)
        told = "" if news is None else "; ".join(news) or "nothing"
        lines.append(f"| {row.version or row.client} | {wrong or 'nothing'} | {told} |")
    return "\n".join([*lines, ""])


def _changed(before: Row, after: Row) -> list[str]:
    """What is new, without what hangs on whether a client has come again in time."""
    tried = {
        cell.case
        for cell in before.cells
        if cell.kept != "untried"
        and any(c.case == cell.case and c.kept != "untried" for c in after.cells)
    }
    changes = [each for each in compare_rows(before, after) if each.case in {*tried, ""}]
    return [line.partition(": ")[2] for line in lines_of(changes)]


def _told(cell: Cell) -> str:
    return f"`{cell.case}` ({cell.crash})" if cell.kept == "crashed" else f"`{cell.case}`"


def main() -> int:
    made = matrices("docs.versions")
    ladders = [f"\n### {each.rows[0].client.partition(' ')[0]}\n{ladder(each)}" for each in made]
    PAGE.write_text(filled(PAGE.read_text(), {"ladders": "".join(ladders)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
