"""The ways into a server, certs/clients/: complete, honest, each with its lesson."""

import re
from pathlib import Path

import pytest

from mitm import content
from mitm.audit.servers.cause import SAYS
from mitm.audit.servers.way import Way, all_ways, load_way, with_own_ways
from mitm.errors import UserError

WAYS = {way.name: way for way in all_ways()}
each = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def test_there_are_as_many_as_the_page_promises() -> None:
    assert len(WAYS) >= 40
    assert sum(not way.needs_client_ca for way in WAYS.values()) >= 20


def test_none_goes_by_the_name_of_something_else() -> None:
    # A scenario may be about the same: then both are shown.
    assert not {*content.to_try()} & {*WAYS}


@each
def test_rule_fix_weakness_and_lesson_are_told(way: Way) -> None:
    assert re.search(r"(RFC \d{4}|CWE-\d+)", way.rule), "`rule:` names its source"
    assert "\n" not in way.rule + way.fix + way.title, "each is one line"
    assert bool(way.fix) == bool(way.cwe) == (way.expect == "reject")
    assert way.cause in SAYS, "`cause:` is one of mitm.audit.servers.cause"
    assert len(way.lesson) > 350, "the lesson says what is wrong, who gains by it, when it happened"
    assert re.search(r"RFC\s+\d{4}|CVE-\d{4}-\d+|20\d\d", way.lesson), "it names a source"


def test_each_lesson_is_its_own() -> None:
    seen: dict[str, str] = {}
    for way in WAYS.values():
        for paragraph in way.lesson.strip().split("\n\n"):
            if paragraph not in (
                "**In which stack.**",
                "**What counts.** The same answer as the good client gets.",
            ):
                assert paragraph not in seen, f"{way.name} and {seen.get(paragraph)}"
                seen[paragraph] = way.name
    assert len({way.title for way in WAYS.values()}) == len(WAYS)


@each
def test_names_are_nobodys(way: Way) -> None:
    for name in re.findall(r"[\w-]+(?:\.[\w-]+)*\.[a-z]+\b", str(way.chain)):
        reserved = name.endswith((".example", ".invalid", ".test"))
        assert reserved, f"{name} may be somebody's: end it in .example (RFC 2606)"


def mine(folder: Path, front: str, name: str = "mine") -> str:
    path = folder / f"{name}.md"
    path.write_text(f"---\ntitle: A title\n{front}---\n\nThe lesson.\n")
    return str(path)


def test_one_of_ones_own_is_tried_beside_the_others(tmp_path: Path) -> None:
    path = mine(tmp_path, "show: none\nserver_name: other\n")
    way = load_way(path)
    assert (way.name, way.severity, way.expect) == ("mine", "must", "reject")
    assert {each.name for each in with_own_ways([path, "must"])} == {*WAYS, "mine"}
    with pytest.raises(UserError, match="another way is called"):
        with_own_ways([mine(tmp_path, "show: none\n", "no-certificate")])


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("", "say what the client shows"),
        ("show: none\nchain: [{}]\n", "say what the client shows"),
        ("show: nothing\n", "show"),
        ("show: none\nwho: other\n", "for a chain"),
        ("show: none\nafter: nowhere\n", "no way is called 'nowhere'"),
        ("chain:\n  - authority: lab\n", "the leaf is a link of its own"),
        ("show: none\nsni: other\n", "sni"),
    ],
)
def test_a_mistake_in_ones_own_is_told_with_its_file(
    front: str, reason: str, tmp_path: Path
) -> None:
    path = mine(tmp_path, front)
    with pytest.raises(UserError) as told:
        load_way(path)
    assert str(told.value).startswith(path)
    assert reason in str(told.value)
