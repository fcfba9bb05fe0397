"""The browser of the tests: what a page does is seen, and other tests are left alone."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import watch

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_harmless_page_is_seen_to_do_nothing(tab: "Page", tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><title>Good</title><p>Nothing here")
    seen = watch(tab)
    tab.goto(file.as_uri())
    assert tab.title() == "Good"
    assert seen.requests == [file.as_uri()]
    assert not seen.dialogs + seen.errors + seen.opened


def test_what_a_page_does_is_seen(tab: "Page", tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><title>Bad</title><img src=http://127.0.0.1:9/leak>"
        "<script>alert('hello'); window.open('about:blank'); throw new Error('broken')</script>"
    )
    seen = watch(tab)
    tab.goto(file.as_uri())
    assert seen.requests[1:] == ["http://127.0.0.1:9/leak"]
    assert seen.dialogs == ["hello"]
    assert any("broken" in error for error in seen.errors)


@pytest.mark.parametrize("turn", [1, 2])
def test_nothing_is_kept_from_one_page_to_the_next(tab: "Page", turn: int) -> None:
    tab.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    tab.goto("http://page.test/")
    assert tab.evaluate("localStorage.getItem('seen')") is None
    tab.evaluate("localStorage.setItem('seen', 'yes')")


@pytest.mark.usefixtures("chromium")
def test_another_test_has_its_own_event_loop() -> None:
    async def one() -> int:
        return 1

    assert asyncio.run(one()) == 1
