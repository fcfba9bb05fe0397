"""Markdown → markup: of a lesson its text, and nothing that leads, loads or runs.

A lesson may be anybody's: scenarios and certificates are files that people hand on.
"""

from markdown_it import MarkdownIt
from markupsafe import Markup

from mitm.masking import plain

# CommonMark without raw HTML, pictures, and addresses that become links by themselves.
_READER = (
    MarkdownIt("commonmark", {"html": False})
    .enable("table")
    .disable(["html_block", "html_inline", "image", "autolink"])
)


def rendered(markdown: str) -> Markup:
    """The markup of a lesson. Links are told by their words alone: they lead to other files.

    Headings are two steps smaller than in the file, to stand below those of a page.
    """
    lines = (plain(line) for line in markdown.expandtabs(4).split("\n"))
    tokens = _READER.parse("\n".join(lines))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.type == "inline":
            token.children = [
                each
                for each in token.children or ()
                if each.type not in ("link_open", "link_close")
            ]
    # Of a reader that takes no markup from the text.
    return Markup(_READER.renderer.render(tokens, _READER.options, {}))  # noqa: S704
