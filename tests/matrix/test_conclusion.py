"""What a matrix comes to."""

import pytest

from mitm.matrix.conclusion import conclude
from mitm.matrix.record import Row
from tests.matrix.made import cell, matrix, row

FINE = row(cell("x", "kept"))


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([FINE], 0),
        ([row(cell("x", "open"), cell("y", "untried"))], 0),
        ([row(cell("x", "broken"))], 1),
        ([row(cell("x", "broken", binding=False))], 0),
        ([row(cell("x", "crashed", binding=False))], 0),
        ([row(cell("x", "undecided"))], 3),
        ([row(cell("x", "undecided", binding=False))], 0),
        ([FINE, row(cell("x", "undecided"), state="no-control")], 3),
        # What was seen to be let in comes before what is not proved.
        ([FINE, row(cell("x", "broken"), state="no-control")], 1),
        # Where the roots are compiled in, there is no control.
        ([FINE, row(cell("genuine", "undecided"), state="no-control", policy="no-ca")], 0),
        ([FINE, row(state="missing"), row(state="unsupported")], 0),
        ([row(state="missing")], 3),
        ([row(state="unsupported")], 3),
        ([row(cell("genuine", "undecided"), state="no-control", policy="no-ca")], 3),
    ],
)
def test_the_exit_code(rows: list[Row], code: int) -> None:
    assert conclude(matrix(*rows)).exit_code == code
