"""docs/zoo.md: a row for each client, as the run has written it, and nobody is missed."""

import re
from pathlib import Path

import pytest

from docs import zoo
from docs.marked import filled

PAGE = zoo.PAGE.read_text()
ROWS = zoo.rows(PAGE)
EVERYONE = {animal.id: (language, animal) for language, animal in zoo.everyone()}


def test_each_client_has_a_row_and_each_row_a_client() -> None:
    assert ROWS.keys() == EVERYONE.keys(), "write what is missing: python -m docs.zoo NAME"


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_the_client_says_of_itself_and_that_it_is_judged_rightly(name: str) -> None:
    language, animal = EVERYONE[name]
    told = f"| `{name}` ({zoo.LANGUAGES[language]}) | {animal.title} | {animal.case} | "
    assert ROWS[name].startswith(told), f"write it anew: python -m docs.zoo {name}"
    came_to = ROWS[name].removeprefix(told).removesuffix(" |")
    if animal.flaw:
        # How many grows with the catalogue, and changes nothing.
        assert re.fullmatch(r"\d+: [a-z]+ \d+(, [a-z]+ \d+)*", came_to)
    else:
        assert came_to == "nothing"


def test_the_page_is_made_of_its_rows() -> None:
    assert filled(PAGE, zoo.tables(ROWS)) == PAGE
    assert "(100%)" in PAGE
    assert " 0 are accused" in PAGE


def test_one_that_is_missed_is_named(tmp_path: Path) -> None:
    flawed = next(name for name, (_, animal) in EVERYONE.items() if animal.flaw)
    missed = ROWS | {flawed: ROWS[flawed].removesuffix(" |") + "; **missed**: wrong-host |"}
    count = zoo.tables(missed)["count"]
    assert f"Missed, or accused wrongly: {flawed}." in count
    assert "(100%)" not in count


def test_a_client_that_is_played_again_has_the_same_row_but_for_how_many() -> None:
    (played,) = zoo.play(["name-ends-alike"])
    # Whose Python offers more than others by default, as Debian's, is told of that as well.
    varying = re.compile(r", offer \d+|\d+")
    assert varying.sub("", zoo.row(played)) == varying.sub("", ROWS["name-ends-alike"])
