"""A real Chromium, for tests of pages: the fixture `tab`, and what went on in it.

A test that takes `tab` runs in a thread of its own, from its first line to its last: Playwright's
synchronous interface keeps an event loop running in the thread that uses it, and no other test
could have one there. Fixtures run in the main thread as ever; there is one browser for a worker.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# The browser of the system; None if there is none.
PROGRAM = next(filter(None, map(shutil.which, _PROGRAMS)), None)
# Its sandbox does not work for root, as whom containers run.
SANDBOX = ["--no-sandbox"] if os.geteuid() == 0 else []
_FIXTURE = "tab"


@dataclass
class Seen:
    """What a page has done, besides being looked at.

    Attributes:
        requests: addresses that it asked for, the first one that of the page itself.
        dialogs: what its dialogs said, each of which was dismissed.
        errors: what its console and its scripts complained of.
        opened: addresses of further pages that it opened.
    """

    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


def watch(page: "Page") -> Seen:
    """Note down what a page does from now on."""
    seen = Seen()

    def dismiss(dialog: "Dialog") -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("dialog", dismiss)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on(
        "console",
        lambda said: seen.errors.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("popup", lambda other: seen.opened.append(other.url))
    return seen


class _Chromium:
    """A browser that lives, and is used, in a thread of its own."""

    def __init__(self, program: str) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        self._playwright, self._browser = self.thread.submit(self._start, program).result()

    @staticmethod
    def _start(program: str) -> "tuple[Playwright, Browser]":
        from playwright.sync_api import sync_playwright

        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=program, args=SANDBOX)

    def open(self) -> "tuple[BrowserContext, Page]":
        """A page that shares no cookies, storage or cache with any other."""

        def new() -> "tuple[BrowserContext, Page]":
            context = self._browser.new_context()
            context.set_default_timeout(20_000)
            return context, context.new_page()

        return self.thread.submit(new).result()

    def close(self) -> None:
        def stop() -> None:
            self._browser.close()
            self._playwright.stop()

        self.thread.submit(stop).result()
        self.thread.shutdown()


@pytest.fixture(scope="session")
def chromium() -> Iterator[_Chromium]:
    """The browser of this worker."""
    pytest.importorskip("playwright", reason="no playwright here: pip install '.[dev]'")
    if PROGRAM is None:
        pytest.skip(
            f"no Chromium here, none of {', '.join(_PROGRAMS)}: apt install chromium, "
            "dnf install chromium, or brew install --cask chromium"
        )
    browser = _Chromium(PROGRAM)
    yield browser
    browser.close()


@pytest.fixture
def tab(chromium: _Chromium) -> "Iterator[Page]":
    """An empty tab of a real Chromium, in a context of its own."""
    context, page = chromium.open()
    yield page
    chromium.thread.submit(context.close).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that has a tab where that can be used; leave all others alone."""
    if _FIXTURE not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    browser = cast(_Chromium, pyfuncitem.funcargs["chromium"])
    browser.thread.submit(pyfuncitem.obj, **arguments).result()
    return True
