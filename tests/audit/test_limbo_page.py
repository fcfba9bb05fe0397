"""docs/limbo.md says what verifiers do today, and explains each difference among them."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# A script beside the page that it writes, not a module of the package.
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "limbo.py"))


@pytest.fixture(scope="module")
def rows() -> Any:
    """What comes of every test case with every verifier, tried now."""
    return SCRIPT["compare"](SCRIPT["SAMPLE"])


def test_every_difference_is_explained_and_none_has_gone_away(rows: Any) -> None:
    assert SCRIPT["unexplained"](rows, SCRIPT["EXPLANATIONS"]) == []


def test_the_page_shows_what_was_found_now(rows: Any) -> None:
    page = SCRIPT["PAGE"].read_text()
    written = SCRIPT["filled"](page, SCRIPT["tables"](rows, SCRIPT["EXPLANATIONS"]))

    def without_versions(text: str) -> str:
        return re.sub(r"(?<=<!-- versions -->\n).*", "", text)

    assert without_versions(written) == without_versions(page), "run: python -m docs.limbo"


def test_every_test_case_has_its_row_and_its_differences_theirs(rows: Any) -> None:
    page = SCRIPT["PAGE"].read_text()
    _, _, explained = page.partition("<!-- differences -->")
    for row in rows:
        assert f"| {row.name} | {row.expected} |" in page
        assert (f"| {row.name} | {', '.join(row.differing)} | " in explained) == bool(row.differing)


def test_the_live_verifiers_are_compared_wherever_a_handshake_can_be_played(rows: Any) -> None:
    for row in rows:
        assert bool(row.unplayable) != {"ssl", "strict ssl", "grpcio"}.issubset(row.verdicts)


def test_a_new_difference_is_named(rows: Any) -> None:
    name, *others = SCRIPT["EXPLANATIONS"]
    fewer = {other: SCRIPT["EXPLANATIONS"][other] for other in others}
    (problem,) = SCRIPT["unexplained"](rows, fewer)
    assert problem.startswith(f"{name}: ")
    assert problem.endswith("explained is nobody")


def test_a_difference_that_has_gone_away_is_named(rows: Any) -> None:
    agreed = next(row.name for row in rows if not row.differing)
    stale = SCRIPT["Explanation"](("ssl",), "It was once so.")
    (problem,) = SCRIPT["unexplained"](rows, SCRIPT["EXPLANATIONS"] | {agreed: stale})
    assert problem == f"{agreed}: nobody differs from limbo, explained is ssl"
