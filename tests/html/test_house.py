"""The house style: readable in light, dark and on paper, and nothing in it that loads or runs."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mitm.html.lesson import rendered
from mitm.html.page import page

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOODS = ("harm", "caution", "good", "quiet")


def contrast(tab: "Page", above: str, below: str) -> float:
    """Of two colours of the house, by their names (WCAG 2.2, "contrast ratio")."""
    script = """([above, below]) => {
      const luminance = (name) => {
        const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255)
          .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const [high, low] = [luminance(above), luminance(below)].sort((a, b) => b - a);
      return (high + 0.05) / (low + 0.05);
    }"""
    return cast(float, tab.evaluate(script, [above, below]))


@pytest.mark.parametrize(
    ("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")]
)
def test_words_can_be_read_on_what_they_stand_on(
    tab: "Page", tmp_path: Path, scheme: str, media: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page("base.html", "report.css"))
    tab.emulate_media(color_scheme=scheme, media=media)  # type: ignore[arg-type]
    tab.goto(file.as_uri())
    pairs = [("--ink", "--page"), ("--ink", "--panel"), ("--faint", "--panel")]
    pairs += [("--mark", "--panel"), ("--faint", "--page")]
    for mood in MOODS:
        pairs += [(f"--{mood}", "--panel"), (f"--{mood}", f"--{mood}-soft")]
        pairs += [(f"--{mood}-ink", f"--{mood}"), ("--ink", f"--{mood}-soft")]
    for above, below in pairs:
        # Level AA, for text of any size.
        assert contrast(tab, above, below) >= 4.5, (above, below)
    # On paper it is dark on light, whatever the screen is like.
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == (
        {"light": "rgb(251, 251, 249)", "dark": "rgb(20, 24, 27)"}[scheme]
        if media == "screen"
        else "rgb(255, 255, 255)"
    )


def test_a_page_may_load_run_and_send_nothing() -> None:
    text = page("base.html", "report.css", "run.css")
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert found
    policy = dict(each.split(" ", 1) for each in found[1].replace("&#39;", "'").split("; "))
    assert policy.keys() == {"default-src", "style-src", "base-uri", "form-action"}
    assert {policy[each] for each in ("default-src", "base-uri", "form-action")} == {"'none'"}
    assert policy["style-src"].startswith("'sha256-")
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)


def test_what_came_through_all_the_same_does_not_run(tab: "Page", tmp_path: Path) -> None:
    """The policy is a second fence: it holds where the first one has a gap."""
    gap = "<script>document.title = 'run'</script><img src=http://127.0.0.1:9/ style='color:red'>"
    file = tmp_path / "page.html"
    file.write_text(page("base.html").replace("<body>", f"<body>{gap}"))
    asked: list[str] = []
    tab.on("requestfinished", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    assert tab.title() != "run"
    assert asked == [file.as_uri()]
    # The twin without a policy.
    file.write_text(f"<!DOCTYPE html><body>{gap}")
    tab.goto(file.as_uri())
    assert tab.title() == "run"


@pytest.mark.parametrize(
    ("markdown", "markup"),
    [
        ("# Head", "<h3>Head</h3>\n"),
        ("*so* **on** `code`", "<p><em>so</em> <strong>on</strong> <code>code</code></p>\n"),
        ("[the name](wrong-host.md) is", "<p>the name is</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("![x](http://h/x.png)", "<p>!x</p>\n"),
        ("<http://h/>", "<p>&lt;http://h/&gt;</p>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("<div>\nx\n</div>", "<p>&lt;div&gt;\nx\n&lt;/div&gt;</p>\n"),
        ("a\u202eb", "<p>a\\u202eb</p>\n"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"),
        ("```html\n<i>\n```", '<pre><code class="language-html">&lt;i&gt;\n</code></pre>\n'),
        ("    indented", "<pre><code>indented\n</code></pre>\n"),
    ],
)
def test_a_lesson_is_text_with_a_shape_and_nothing_else(markdown: str, markup: str) -> None:
    assert rendered(markdown) == markup


def test_a_fence_cannot_break_out_by_its_language() -> None:
    text = rendered('```"><script>alert(1)</script>\nx\n```')
    assert "<script" not in text
    assert '"><' not in text
