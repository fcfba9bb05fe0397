"""What is tried in a test, and how strictly: command line, ini file, markers, arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

import pytest

if TYPE_CHECKING:
    from mitm.audit import Entry
    from mitm.audit.case import Tls

_MARKER = (
    "mitm(only, exclude, strict, name, tls, timeout): which certificates mitm_audit and "
    "forged_server try in this test, and how"
)

# The name of what a passing test has to tell, among its properties: pytest-xdist carries those to
# the terminal, and `--junitxml` into its file.
REMARK = "mitm-demo"

_WORDS = "certificates, severities (must, should, info), weaknesses (CWE-297) or files (./mine.md)"


class Settings(NamedTuple):
    """How a test tries certificates.

    Attributes:
        certs: what the command line or the ini file has narrowed the run down to, () for nothing.
        only, exclude: what the test itself has chosen, in the same words.
        strict: whether it fails for what good clients do as well, and for too strict a client.
        name: that clients are to expect in a certificate.
        tls: "1.2" for every certificate once more over TLS 1.2.
        timeout: seconds for one run of a client.
    """

    certs: tuple[str, ...]
    only: tuple[str, ...]
    exclude: tuple[str, ...]
    strict: bool
    name: str
    tls: Tls | None
    timeout: float

    def changed(
        self,
        *,
        only: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        strict: bool | None = None,
        name: str | None = None,
        tls: str | None = None,
        timeout: float | None = None,
    ) -> Settings:
        """These settings, but for what is not None; words may be one text with commas."""
        return Settings(
            self.certs,
            self.only if only is None else words_of(only),
            self.exclude if exclude is None else words_of(exclude),
            self.strict if strict is None else strict,
            self.name if name is None else name,
            self.tls if tls is None else _version(tls),
            self.timeout if timeout is None else timeout,
        )

    def recipes(self) -> list[Entry]:
        """The certificates to try, in the order of their names; it may be that none is left."""
        from mitm.address import must_be_a_name
        from mitm.audit import select, with_own, with_twins
        from mitm.errors import UserError

        try:
            must_be_a_name(self.name)
            known = with_own(_catalogue(), [*self.only, *self.exclude, *self.certs])
            known = with_twins(known, self.tls)
            chosen = select(known, self.only, self.exclude)
            narrowed = select(known, self.certs)
        except UserError as error:
            refuse(str(error))
        return [recipe for recipe in chosen if recipe in narrowed]


def add_options(parser: pytest.Parser) -> None:
    """Add the options of the command line and the settings of the ini file."""
    group = parser.getgroup("mitm-demo", "forged certificates (mitm-demo)")
    group.addoption(
        "--mitm-certs",
        metavar="WORDS",
        default="",
        help=f"try only these: {_WORDS}, separated by commas",
    )
    group.addoption(
        "--mitm-strict",
        action="store_true",
        help="fail as well for what only good clients reject, and for too strict a client",
    )
    parser.addini("mitm_certs", f"try only these: {_WORDS}", type="args", default=[])
    parser.addini("mitm_strict", "as --mitm-strict", type="bool", default=False)
    parser.addini("mitm_name", "name that clients are to expect", default="localhost")
    parser.addini("mitm_tls", "1.2: try every certificate once more over it", default="")
    parser.addini("mitm_timeout", "seconds for one run of a client", default="10")


def register_marker(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def settings_of(node: pytest.Item) -> Settings:
    """The settings of a test: the nearest marker counts most, then the command line."""
    config = node.config
    settings = Settings(
        certs=words_of(config.getoption("--mitm-certs") or config.getini("mitm_certs")),
        only=(),
        exclude=(),
        strict=config.getoption("--mitm-strict") or config.getini("mitm_strict"),
        name=config.getini("mitm_name"),
        tls=_version(config.getini("mitm_tls")),
        timeout=_seconds(config.getini("mitm_timeout")),
    )
    for marker in reversed(list(node.iter_markers("mitm"))):
        try:
            settings = settings.changed(*marker.args, **marker.kwargs)
        except TypeError:
            given = ", ".join([*map(repr, marker.args), *marker.kwargs])
            refuse(f"{node.nodeid}: the marker takes {_MARKER.partition(':')[0]}, not ({given})")
    return settings


def remember(item: pytest.Item, remark: str) -> None:
    """Keep what a test that passes has to tell, for the end of the test run."""
    item.user_properties.append((REMARK, remark))


def refuse(message: str) -> NoReturn:
    """Fail the test, or its collection, for a mistake of its author's."""
    # What it was raised in the middle of says the same.
    raise pytest.fail.Exception(message, pytrace=False) from None


@cache
def _catalogue() -> list[Entry]:
    from mitm.audit import catalogue

    return catalogue()


def words_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Words of a text with commas or spaces, or of several."""
    texts = [given] if isinstance(given, str) else given
    return tuple(word for text in texts for word in re.split(r"[,\s]+", text) if word)


def _version(text: str) -> Tls | None:
    if text not in ("", "1.2"):
        refuse(f"tls: {text!r} is not '1.2', over which certificates can be tried once more")
    return cast("Tls", text) if text else None


def _seconds(text: str) -> float:
    try:
        # Not by what is longer than a day: neither is `nan`, nor what event loops take.
        if 0 < (number := float(text)) <= 86_400:
            return number
    except ValueError:
        pass
    refuse(f"mitm_timeout: {text!r} is not a number of seconds")
