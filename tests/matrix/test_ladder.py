"""Past versions of a stack: which are meant, and what each has changed."""

import pytest

from mitm.cli.matrix_table import lines_of
from mitm.errors import UserError
from mitm.matrix.against import compare_rows, steps_of
from mitm.matrix.ladder import MOST, STACKS, chosen, read_range
from tests.matrix.made import cell, matrix, row
from tests.programs import mitm_demo

KNOWN = ["1.85.3", "1.85.0", "1.9.2", "1.60.0", "1.60.2", "1.61.0rc1", "1.61.3", "1.70.0", "2.0.0"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("1.60..1.85", ["1.60.2", "1.61.3", "1.70.0", "1.85.3"]),
        # Numbers, and no texts: 9 comes before 60.
        ("1.9..1.60", ["1.9.2", "1.60.2"]),
        ("1.60.1..1.85.0", ["1.60.2", "1.61.3", "1.70.0", "1.85.0"]),
        ("1.60,1.70", ["1.60.2", "1.70.0"]),
        ("1.85.0,1.60.0", ["1.60.0", "1.85.0"]),
        ("1.60..2", ["1.60.2", "1.61.3", "1.70.0", "1.85.3", "2.0.0"]),
    ],
)
def test_versions_are_chosen_by_numbers(wanted: str, found: list[str]) -> None:
    assert chosen(KNOWN, wanted) == found


def test_of_many_versions_some_are_passed_over_and_neither_end() -> None:
    known = [f"1.{minor}.{patch}" for minor in range(40) for patch in range(3)]
    found = chosen(known, "1.0..1.39")
    assert len(found) == MOST == len({*found})
    assert found[0] == "1.0.2"
    assert found[-2:] == ["1.38.2", "1.39.2"]
    assert found == sorted(found, key=lambda version: int(version.split(".")[1]))


@pytest.mark.parametrize("wanted", ["3..4", "1.62", "1.85..1.60"])
def test_where_there_is_no_such_version_that_is_told(wanted: str) -> None:
    with pytest.raises(UserError, match=r"the newest is 2\.0\.0"):
        chosen(KNOWN, wanted)


def test_what_a_package_manager_says_is_read() -> None:
    pip = "grpcio (1.85.3)\nAvailable versions: 1.85.3, 1.85.1\n  INSTALLED: 1.85.3\n"
    assert STACKS["grpcio"].read(pip) == ["1.85.3", "1.85.1"]
    go = "google.golang.org/grpc v1.79.0-dev v1.79.0\n"
    assert STACKS["grpc-go"].read(go) == ["1.79.0-dev", "1.79.0"]
    assert STACKS["grpc-js"].read('["1.8.14", "1.8.15"]') == ["1.8.14", "1.8.15"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("grpcio", "is not STACK=FROM..TO"),
        ("grpcio=", "is not STACK=FROM..TO"),
        ("grpcio=new", "is not STACK=FROM..TO"),
        ("grpcio=1.62..1.69,1.70", "is not STACK=FROM..TO"),
        ("grpcio=1.62..", "is not STACK=FROM..TO"),
        ("grpc=1.60", "grpcio, grpc-go, grpc-js"),
        ("grpcio=" + 5000 * "1", "is not STACK=FROM..TO"),
    ],
)
def test_a_mistake_is_one_line(words: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_range(words)
    result = mitm_demo("matrix", "--versions", words)
    assert result.code == 2
    assert told in result.err
    assert result.err.count("\n") == 1


def test_each_version_is_compared_with_the_one_before_it() -> None:
    made = matrix(
        row(cell("x", "kept"), cell("y", "crashed", crash="SIGABRT"), client="grpcio 1.60"),
        row(client="grpcio 1.61", state="missing"),
        row(cell("x", "kept"), cell("y", "kept"), client="grpcio 1.62"),
        row(cell("x", "broken"), cell("y", "kept"), client="grpcio 1.63"),
    )
    steps = [
        (before.client, after.client, lines_of(compare_rows(before, after)))
        for before, after in steps_of(made)
    ]
    assert steps == [
        ("grpcio 1.60", "grpcio 1.62", ["grpcio 1.62, ca-file: y: crashed (SIGABRT) → refused"]),
        (
            "grpcio 1.62",
            "grpcio 1.63",
            ["grpcio 1.63, ca-file: x: refused → took, against its policy"],
        ),
    ]
