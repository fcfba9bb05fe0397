"""Reports for whoever has no mouse, or does not see them: structure, names, keyboard."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mitm.audit.conclusion import conclude
from mitm.html import LeftOut, Scene, audit_page, run_page
from tests.capture.samples import SAMPLES
from tests.html.test_audit import Again, names_are_not_checked
from tests.html.test_run import played, seen

if TYPE_CHECKING:
    from playwright.sync_api import Page

REPORT = names_are_not_checked()
SCENE = Scene(played(), seen(*SAMPLES[6:]), "# What happens\n\nIt happens.\n\n## Why\n\nSo.")
PAGES = {
    "audit": lambda: audit_page(REPORT, conclude(REPORT, strict=True), Again()),
    "run": lambda: run_page([SCENE], [], ("mitm-demo", "run")),
    "runs": lambda: run_page([SCENE, SCENE], [LeftOut("acme", "not here")], ()),
}


def opened(tab: "Page", tmp_path: Path, name: str) -> "Page":
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    tab.goto(file.as_uri())
    return tab


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_structure_that_can_be_heard(tab: "Page", tmp_path: Path, name: str) -> None:
    opened(tab, tmp_path, name)
    levels = tab.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((each) => +each.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len({*ids})
    for script in (
        # Whatever names something names something that is there.
        "[...document.querySelectorAll('[aria-labelledby]')].every("
        "(each) => document.getElementById(each.getAttribute('aria-labelledby')))",
        "[...document.querySelectorAll('a')].every("
        "(each) => document.getElementById(each.hash.slice(1)))",
        "[...document.querySelectorAll('th')].every((each) => each.scope)",
        "[...document.querySelectorAll('details')].every("
        "(each) => each.firstElementChild.tagName === 'SUMMARY')",
        "document.querySelectorAll('main').length === 1 && document.documentElement.lang === 'en'",
        "document.title.startsWith('mitm-demo ')",
    ):
        assert tab.evaluate(script), script


def test_what_is_folded_opens_with_the_keyboard(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, "audit")
    focused = "document.activeElement.innerText"
    tab.keyboard.press("Tab")
    assert "does not check the name" in tab.evaluate(focused)
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#fails-1"
    tab.keyboard.press("Tab")
    assert tab.evaluate(focused).startswith("Evidence")
    tab.keyboard.press("Enter")
    assert tab.is_visible("details.proof summary code >> nth=0")
    # Where one is can be seen.
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_diagram_is_a_list_for_whoever_hears_it(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, "run")
    heard = tab.locator(".n3 ol").aria_snapshot()
    assert 'list "What happened: client, attacker, server"' in heard
    assert "client → attacker" in heard
    assert "attacker reads it on its way" in heard
    # The names above the lines are said with each step.
    assert tab.locator(".n3 .names").get_attribute("aria-hidden") == "true"
