"""What somebody might write so that a browser would obey it, and what a page is that does not."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.browser import watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></title></textarea></script><script>alert(1)</script>",
    "<img src=http://127.0.0.1:9/leak onerror=alert(1)>",
    "<svg/onload=alert(1)><animate onbegin=alert(1) attributeName=x dur=1s>",
    "\" autofocus onfocus=alert(1) x=\"' onmouseover='alert(1)",
    "'\"></code></pre></details></article><iframe srcdoc='<script>parent.alert(1)</script>'>",
    "<!-- --!><base href=http://127.0.0.1:9/><link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'><form action=//127.0.0.1:9/>",
    "[here](javascript:alert(1)) ![x](http://127.0.0.1:9/x.png) <javascript:alert(1)> "
    "<http://127.0.0.1:9/> [a]: http://127.0.0.1:9/",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}{{ cycler.__init__.__globals__ }}",
    "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;alert(1)",
    "\u202egnp.\u2066exe\u2069 \x00\x1b[2J\x07 \ud800 \ufeff\u2028",
    "<p style='position:fixed;inset:0;background:url(http://127.0.0.1:9/)'>Passed</p>",
    "```\n</code></pre><script>alert(1)</script>\n```\n\n    <b onclick=alert(1)>\n\n<div>\n<b>",
    "<" * 20_000 + "x" * 100_000,
)

_SHAPE = """() => [...document.querySelectorAll("*")].map(
  (each) => each.tagName + " " + each.getAttributeNames().join(" "))"""


def shape(tab: "Page", file: Path, html: str) -> list[str]:
    """The elements of a page, opened in a real browser, which is made to look at all of it.

    Raises:
        AssertionError: it did what no report does: a dialog, a request, an error, a page opened.
    """
    file.write_text(html, encoding="utf-8")
    seen = watch(tab)
    tab.goto(file.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    tab.keyboard.press("Tab")
    tab.mouse.move(200, 200)
    assert seen.requests == [file.as_uri()]
    assert not seen.dialogs + seen.opened + seen.errors
    text = cast(str, tab.evaluate("document.body.innerText"))
    assert all(each.isprintable() or each in "\n\t" for each in text)
    return cast(list[str], tab.evaluate(_SHAPE))
