"""Templates → pages, which nobody's words can add anything to: one door for all of them.

Whatever a template shows is made harmless (`masking.plain`) and escaped, unless it is markup that
this package has made; and if something came through all the same, the page's policy forbids a
browser to load, run or send anything (W3C, "Content Security Policy Level 3").
"""

import base64
import functools
import hashlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mitm.html.lesson import rendered
from mitm.masking import plain, shortened

_HERE = Path(__file__).parent

# Characters of one value: whoever writes more has something else in mind than to be read.
_MOST = 2000


def page(template: str, *styles: str, script: str = "", **values: object) -> str:
    """Make a page.

    Args:
        template: file name of its template.
        styles: file names of its own style sheets, behind the one that all pages have.
        script: file name of its script; "" for none.
        values: that the template shows.
    """
    style = "".join(map(_file, ("house.css", *styles)))
    code = _file(script) if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            # Of the project's own files, not of anybody's words.
            style=Markup(style),  # noqa: S704
            script=Markup(code),  # noqa: S704
            policy=_policy(style, code),
            version=version("mitm-demo"),
            made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            **values,
        )
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["lesson"] = rendered
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:]}"
    return environment


def _shown(value: object) -> object:
    """A value as a page shows it."""
    return value if isinstance(value, Markup) else plain(shortened(str(value), _MOST))


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What a browser may do for the page: to look like this, and to run its own script."""
    allowed = ["default-src 'none'", f"style-src {_digest(style)}"]
    if script:
        allowed.append(f"script-src {_digest(script)}")
    return "; ".join([*allowed, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
