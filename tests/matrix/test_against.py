"""What has changed between two runs, and which of it is worse."""

import pytest

from mitm.matrix.against import compare
from mitm.matrix.record import Cell, Row
from tests.matrix.made import cell, matrix, row


@pytest.mark.parametrize(
    ("then", "now", "kind", "code"),
    [
        (cell("x", "kept"), cell("x", "broken"), "worse", 1),
        (cell("x", "open"), cell("x", "broken"), "worse", 1),
        (cell("x", "untried"), cell("x", "broken"), "worse", 1),
        (cell("x", "undecided"), cell("x", "broken"), "worse", 1),
        (cell("x", "broken"), cell("x", "broken", did="refused"), "worse", 1),
        (cell("x", "kept"), cell("x", "crashed", crash="SIGABRT"), "worse", 1),
        (cell("x", "broken"), cell("x", "kept"), "better", 0),
        (cell("x", "crashed", crash="SIGABRT"), cell("x", "kept"), "better", 0),
        (cell("x", "kept"), cell("x", "undecided"), "unproved", 3),
        (cell("x", "broken"), cell("x", "undecided"), "unproved", 3),
        (cell("x", "kept"), cell("x", "untried"), "other", 0),
        (cell("x", "broken"), cell("x", "untried"), "unproved", 3),
        (cell("x", "open"), cell("x", "open", did="refused"), "other", 0),
    ],
)
def test_a_cell_that_changed_is_named(then: Cell, now: Cell, kind: str, code: int) -> None:
    comparison = compare(matrix(row(then)), matrix(row(now)))
    assert [(change.kind, change.case) for change in comparison.changes] == [(kind, "x")]
    assert comparison.exit_code == code


@pytest.mark.parametrize("kept", ["kept", "broken", "open", "undecided", "untried"])
def test_what_is_as_it_was_is_no_change_in_whatever_words(kept: str) -> None:
    then = matrix(row(cell("x", kept, message="handshake failed")))  # type: ignore[arg-type]
    now = matrix(row(cell("x", kept, message="no certificate", reason="b")))  # type: ignore[arg-type]
    assert compare(then, now).changes == ()
    assert compare(then, now).exit_code == 0


def test_cells_that_come_and_go_are_named_and_neither_is_worse() -> None:
    comparison = compare(
        matrix(row(cell("x", "kept"), cell("gone", "kept"))),
        matrix(row(cell("x", "kept"), cell("new", "broken"))),
    )
    assert [(each.kind, each.case) for each in comparison.changes] == [
        ("appeared", "new"),
        ("vanished", "gone"),
    ]
    assert comparison.exit_code == 0


def test_what_was_not_asked_for_is_not_missed() -> None:
    then = matrix(
        row(cell("x", "kept"), cell("y", "kept")), row(cell("x", "kept"), policy="pinned")
    )
    assert compare(then, matrix(row(cell("x", "kept"))), {"x"}).changes == ()
    missed = compare(then, matrix(row(cell("x", "kept"))), {"x", "y"})
    assert [each.kind for each in missed.changes] == ["vanished"]


def test_versions_are_told_then_and_now() -> None:
    then, now = row(version="grpc-go 1.70.0"), row(version="grpc-go 1.71.0")
    assert compare(matrix(then), matrix(now)).versions == {
        "go": ("grpc-go 1.70.0", "grpc-go 1.71.0")
    }
    assert compare(matrix(then), matrix(then)).versions == {}


@pytest.mark.parametrize(
    ("then", "now", "kinds", "code"),
    [
        (row(cell("x", "kept")), row(state="missing"), ["unproved"], 3),
        (row(cell("x", "kept")), row(state="unsupported"), ["unproved"], 3),
        (row(cell("x", "kept")), row(cell("x", "undecided"), state="no-control"), ["unproved"], 3),
        # What was let in was let in, whatever became of the control.
        (
            row(cell("x", "kept")),
            row(cell("x", "broken"), state="no-control"),
            ["unproved", "worse"],
            1,
        ),
        (row(state="missing"), row(cell("x", "kept")), ["other"], 0),
        (row(state="unsupported"), row(cell("x", "broken")), ["other", "appeared"], 0),
        (row(state="missing"), row(state="missing"), [], 0),
    ],
)
def test_a_row_that_is_not_tried_any_more_is_not_clean(
    then: Row, now: Row, kinds: list[str], code: int
) -> None:
    comparison = compare(matrix(then), matrix(now))
    assert [change.kind for change in comparison.changes] == kinds
    assert comparison.exit_code == code
