"""What a matrix comes to."""

import pytest
from msgspec.structs import replace

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
        # Somebody has named it, and counts on it.
        ([FINE, row(state="missing", named=True)], 3),
        ([row(state="unsupported")], 3),
        ([row(cell("genuine", "undecided"), state="no-control", policy="no-ca")], 3),
        # That a client gets through is no test of it.
        ([row(cell("genuine", "kept"), cell("x", "untried"))], 3),
        ([row(cell("genuine", "kept"), cell("x", "untried")), FINE], 0),
        ([row(cell("genuine", "kept"), cell("x", "untried"), policy="no-ca")], 0),
        ([row(cell("genuine", "kept"))], 0),
    ],
)
def test_the_exit_code(rows: list[Row], code: int) -> None:
    assert conclude(matrix(*rows)).exit_code == code


def test_one_that_was_interrupted_is_never_clean() -> None:
    begun = replace(matrix(FINE), to_try=2)
    assert conclude(begun).exit_code == 3
    assert "2 rows still to be tried" in conclude(begun).reason
    assert conclude(replace(begun, rows=(row(cell("x", "broken")),))).exit_code == 1


def test_who_is_not_here_is_not_said_to_keep_anything() -> None:
    assert "is here" not in conclude(matrix(FINE)).reason
    told = conclude(matrix(FINE, row(state="missing", client="other"))).reason
    assert told.endswith("; 1 client not here")
