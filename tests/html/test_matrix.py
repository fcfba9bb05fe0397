"""The page: one file, well-formed, and no text of a stranger's is more than text in it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mitm.html import matrix_page
from mitm.matrix.record import Matrix
from tests.browser import watch
from tests.matrix.made import cell, matrix, row

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    '"}]}; alert(1); //',
    "\u202emoc.live\u2028\x1b[2J\x00",
    "&lt;b&gt;",
    "@DATA@",
]

# HTML, "Void elements".
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Reads a page, and holds that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data = ""
        self._open: list[str] = []
        self._in_data = False
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        self._in_data = ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data
            self._in_data = False


def hostile(text: str) -> Matrix:
    evidence = {"reached": "nothing", "calls": [], "connections": [{"certificate": text}]}
    bad = cell(text, "broken", reason=text, message=text, code=text, evidence=evidence)
    return matrix(row(bad, client=text, title=text, version=text, reason=text))


def test_the_page_is_well_formed_and_holds_every_cell() -> None:
    page = Page(matrix_page(matrix(row(cell("x", "kept"), cell("y", "broken")))))
    data = json.loads(page.data)
    assert [case["name"] for case in data["cases"]] == ["x", "y"]
    kept = data["fields"].index("kept")
    cells = data["columns"][0]["cells"]
    assert [data["values"][packed[kept]] for packed in cells] == ["kept", "broken"]


def test_the_page_fetches_nothing() -> None:
    text = matrix_page(matrix(row(cell("x", "kept"))))
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bfetch\(|XMLHttpRequest", text)
    page = Page(text)
    assert not {"link", "img", "iframe", "object"} & {*page.tags}
    assert not {"src", "href", "action"} & {name for name, _ in page.attributes}
    assert ("http-equiv", "Content-Security-Policy") in page.attributes
    contents = [value for name, value in page.attributes if name == "content" and value]
    assert any(value.startswith("default-src 'none'") for value in contents)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_text(text: str) -> None:
    sound, page = Page(matrix_page(hostile("harmless"))), Page(matrix_page(hostile(text)))
    assert page.tags == sound.tags
    assert page.attributes == sound.attributes
    data = json.loads(page.data)
    reasons = [value for value in data["values"] if isinstance(value, str)]
    assert all(value.isprintable() for value in reasons)
    assert data["columns"][0]["client"].isprintable()


def test_the_page_makes_no_markup_of_a_text() -> None:
    """What is shown goes in as text: the script has none of the ways to read it as markup."""
    text = matrix_page(matrix(row(cell("x", "kept"))))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_browser_draws_the_wall_and_obeys_nobody(tab: "Tab", tmp_path: Path, text: str) -> None:
    file = tmp_path / "matrix.html"
    file.write_text(matrix_page(hostile(text)))
    seen = watch(tab)
    tab.goto(file.as_uri())
    (chosen,) = tab.query_selector_all("td[data-row]")
    assert chosen.get_attribute("class") == "first broken"
    chosen.click()
    assert "let in, against its policy" in tab.inner_text("#detail")
    assert not seen.dialogs + seen.errors + seen.opened
    assert seen.requests == [file.as_uri()]
