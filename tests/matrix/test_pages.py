"""The pages of docs/ that are written from runs."""

import re
from pathlib import Path

import pytest

from docs import matrix as matrix_page
from docs import versions as versions_page
from docs.marked import filled
from docs.withheld import matrices
from mitm.html.matrix import matrix_page as as_html
from mitm.lab.policies import POLICIES
from tests.matrix.made import cell, matrix, row

MADE = matrix(
    row(cell("sound", "kept", did="took"), cell("x", "broken"), version="grpc-go 1"),
    row(cell("sound", "kept", did="took"), cell("x", "kept"), client="node", version="grpc-js 1"),
    row(client="node", policy="pinned", state="unsupported", reason="no leaf is a root there"),
)


def test_the_page_of_the_matrix_takes_a_run() -> None:
    page = filled(matrix_page.PAGE.read_text(), matrix_page.parts(MADE))
    assert "| `go` |" in page
    assert "| `x` | must | **let in** | `go`: ca-file |" in page
    assert "| `x` | must, turn away | lets in |  |" in page
    assert "no leaf is a root there" in page


def test_what_all_do_alike_is_no_difference() -> None:
    assert "`sound`" not in matrix_page.parts(MADE)["stacks"]


def test_every_policy_has_its_promise_on_the_page() -> None:
    _, _, table = matrix_page.PAGE.read_text().partition("## What a policy promises")
    rows, _, _ = table.partition("\n\nWhat the")
    assert {*re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\|[^|]*\|", rows, re.M)))} == {
        *POLICIES
    }


def test_a_ladder_tells_the_newest_first_and_what_each_has_changed() -> None:
    told = versions_page.ladder(
        matrix(
            row(
                cell("x", "crashed", crash="SIGABRT"),
                client="grpcio 1.60.0",
                version="grpcio 1.60.0",
            ),
            row(cell("x", "kept"), client="grpcio 1.61.0", version="grpcio 1.61.0"),
        )
    )
    assert told.strip().split("\n")[2:] == [
        "| grpcio 1.61.0 | nothing | x: crashed (SIGABRT) → refused |",
        "| grpcio 1.60.0 | `x` (SIGABRT) |  |",
    ]


def test_a_case_is_withheld_from_every_table_and_from_the_page(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(MADE.as_json())
    (whole,) = matrices("docs.matrix", [str(path)])
    (less,) = matrices("docs.matrix", [str(path), "--without", "x"])
    assert whole == MADE
    for told in ("".join(matrix_page.parts(less).values()), as_html(less)):
        assert "`x`" not in told
        assert '"x"' not in told
    assert "`x`" in "".join(matrix_page.parts(whole).values())
    assert '"x"' in as_html(whole)


def test_what_is_to_be_withheld_is_not_mistyped(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(MADE.as_json())
    with pytest.raises(SystemExit):
        matrices("docs.matrix", [str(path), "--without", "y"])
