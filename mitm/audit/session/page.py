"""The index of a session for a browser: one page, without script."""

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from urllib.parse import quote

from mitm.audit.explanation import describe_weight, without_links
from mitm.audit.session.listing import left_out
from mitm.audit.session.presented import PresentedCase, Session
from mitm.masking import plain
from mitm.pki.recipe import FAMILIES

# Colours are those of the browser's own scheme, light or dark.
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid }
th, td { border-color: color-mix(in srgb, currentColor 25%, transparent) }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
tr:target { outline: 2px solid }
form { display: inline }
"""

# Nothing but this style is loaded, and forms go nowhere else (W3C, "Content Security Policy").
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>mitm-demo: what is presented here</title>
<style>{style}</style>
</head>
<body>
<h1>What is presented here</h1>
<p>Each line is a server on a port of its own. A correct client <em>refuses</em> what it should not
trust, before it has sent anything, and <em>accepts</em> the rest. What is to be trusted is the CA
in <code>{ca}</code> (<a href="{ca_url}">download</a>), and nothing else; it lives for a day. A
browser that does not know it has the same warning for each of these; to see what each is refused
for, give it to a profile that you throw away, and not to your own.</p>
<p>By hand: <code>curl --cacert {ca} {genuine}</code>, and any other port.</p>
<p>For programs: <a href="cases">JSON</a>, <a href="cases.tsv">lines with tabs</a>. Of what is done
in several steps, each connection is the next one; <em>begin anew</em> goes back to the first.</p>
<nav><p>{links}</p></nav>
"""
_FOOT = "</body>\n</html>\n"


def page(session: Session) -> str:
    """The page."""
    cases = list(session.cases.values())
    first = cases[0]
    groups = {
        family: list(each) for family, each in groupby(sorted(cases, key=_place), key=_family)
    }
    links = " · ".join(f'<a href="#{_text(name)}">{_text(name)}</a>' for name in groups)
    parts = [
        _HEAD.format(
            style=_STYLE,
            ca=_text(str(first.endpoint.ca_file)),
            genuine=_text(f"https://{first.endpoint.target}/"),
            ca_url=_text(_path(first, "ca.pem")),
            links=links,
        )
    ]
    for family, members in groups.items():
        parts.append(f'<h2 id="{_text(family)}">{_text(family)}</h2>\n<table>\n{_COLUMNS}')
        parts += map(_row, members)
        parts.append("</table>\n")
    if lines := left_out(session):
        items = "".join(f"<li>{_text(line)}</li>" for line in lines)
        parts.append(f'<h2 id="not-presented">not presented</h2>\n<ul>{items}</ul>\n')
    return "".join(parts) + _FOOT


_COLUMNS = (
    '<tr><th scope="col">Name</th><th scope="col">Port</th><th scope="col">A correct client</th>'
    '<th scope="col">What it is</th></tr>\n'
)


def _family(case: PresentedCase) -> str:
    return "control" if case.is_control else case.case.family


def _place(case: PresentedCase) -> int:
    return -1 if case.is_control else FAMILIES.index(case.case.family)


def _row(case: PresentedCase) -> str:
    endpoint = case.endpoint
    told = f"{case.case.expect}s it<br><small>{_text(describe_weight(case.case))}</small>"
    step = ""
    if len(case.play.stages) > 1:
        step = (
            f"<div>At step {case.listener.step} of {len(case.play.stages)}. "
            f'<form method="post" action="{_text(_path(case, "reset"))}">'
            "<button>begin anew</button></form></div>"
        )
    rule = f"<p><small>{_text(case.case.rule)}</small></p>" if case.case.rule else ""
    name = f" as <code>{_text(endpoint.name)}</code>" if endpoint.name != endpoint.host else ""
    return (
        f'<tr id="case-{_text(quote(case.name))}">'
        f'<td><a href="https://{_text(endpoint.target)}/">{_text(case.name)}</a>{name}</td>'
        f"<td>{endpoint.port}</td><td>{told}</td>"
        f"<td>{_text(case.title)}{step}<details><summary>lesson</summary>"
        f'{_prose(case.case.lesson)}{rule}<p><a href="{_text(_path(case, "ca.pem"))}">'
        "the CA that is to be trusted</a></p></details></td></tr>\n"
    )


def _path(case: PresentedCase, what: str) -> str:
    return f"cases/{quote(case.name, safe='')}/{what}"


def _text(text: str) -> str:
    """Foreign text in HTML."""
    return escape(plain(text))


def _prose(markdown: str) -> str:
    """A lesson. Of Markdown it has paragraphs, lists, code, and emphasis."""
    return "".join(_blocks(markdown))


def _blocks(markdown: str) -> Iterator[str]:
    # Every other part stands between fences; the first word of that is its language.
    for number, part in enumerate(re.split(r"^```", markdown, flags=re.MULTILINE)):
        if number % 2:
            lines = part.split("\n")[1:]
            yield f"<pre>{chr(10).join(map(_text, lines))}</pre>"
            continue
        for block in re.split(r"\n\s*\n", part):
            if block.startswith("- "):
                items = map(_inline, re.split(r"^- ", block, flags=re.MULTILINE)[1:])
                yield f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
            elif block.strip():
                yield f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    html = _text(" ".join(text.split()))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    html = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", html)
    return without_links(html)
