"""What the pages leave out until a library's maintainers have mended it: the rule of SECURITY.md.

Which cases these are is said on the command line, and stands in no file of the project: a list of
them would tell what it is to keep.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from mitm.matrix.record import Matrix, load_matrix


def matrices(name: str, words: Sequence[str] | None = None) -> list[Matrix]:
    """The matrices that a command line names, without the cases that it withholds.

    Args:
        name: of the module that is run.
        words: of its command line; None for this process's.

    Raises:
        UserError: a file cannot be read, or holds no matrix.
    """
    parser = argparse.ArgumentParser(name)
    parser.add_argument("matrix", nargs="+", type=Path, help="JSON of mitm-demo matrix")
    parser.add_argument(
        "--without", default="", metavar="CASE,…", help="cases to leave out, by their names"
    )
    arguments = parser.parse_args(words)
    withheld = {case for case in arguments.without.split(",") if case}
    made = [load_matrix(name, path) for path in arguments.matrix]
    known = {case.name for matrix in made for case in matrix.cases}
    if withheld - known:
        parser.error(f"--without: no case is called {', '.join(sorted(withheld - known))}")
    return [without(matrix, withheld) for matrix in made]


def without(matrix: Matrix, withheld: set[str]) -> Matrix:
    """A matrix without some cases, of whatever client: a gap in one row would tell as much."""
    rows = (
        replace(row, cells=tuple(cell for cell in row.cells if cell.case not in withheld))
        for row in matrix.rows
    )
    cases = tuple(case for case in matrix.cases if case.name not in withheld)
    return replace(matrix, cases=cases, rows=tuple(rows))
