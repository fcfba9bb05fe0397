"""What a client is tried with: one certificate and what a correct client does with it."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NoReturn, Protocol, TypeVar

import msgspec

from mitm import content, pki
from mitm.address import LOCALHOST, must_be_a_name
from mitm.errors import UserError
from mitm.pki.recipe import Family, Severity

CONTROL = "genuine"

Expectation = Literal["accept", "reject"]
SEVERITIES: tuple[Severity, ...] = ("must", "should", "info")


class Case(msgspec.Struct, frozen=True):
    """One certificate, ready to be presented.

    Attributes:
        name: the recipe's.
        expect: what a correct client does.
        severity: how far that binds: every client (`must`), a good one (`should`), or none, because
            sound clients differ (`info`).
        cwe: numbers in the Common Weakness Enumeration.
        rule: the rule behind it, with its source.
        fix: what to change in a client that accepts it wrongly.
        lesson: why, as Markdown.
        chain: what is presented, with what the client dials and expects; None if it cannot be.
        unsupported: why it cannot be, "" if it can.
        family: the section of the catalogue that it stands in.
    """

    name: str
    title: str
    expect: Expectation
    severity: Severity
    cwe: tuple[int, ...]
    rule: str
    fix: str
    lesson: str
    chain: pki.Chain | None
    unsupported: str = ""
    family: Family = "own"


class Suite(msgspec.Struct, frozen=True):
    """The cases of one audit, made by the same authorities.

    Attributes:
        control: the genuine certificate: a client that does not get through with it proves nothing
            by rejecting the others.
        cases: what the client is tried with.
    """

    control: Case
    cases: tuple[Case, ...]

    @property
    def pin_pem(self) -> bytes:
        """The genuine leaf, for clients that pin it."""
        assert self.control.chain is not None
        return self.control.chain.leaf_pem


class _Selectable(Protocol):
    """A recipe, or a case."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def cwe(self) -> tuple[int, ...]: ...


S = TypeVar("S", bound=_Selectable)


def catalogue() -> list[pki.Recipe]:
    """All certificates that come with the project, in the order of their names."""
    return [pki.load_recipe(name) for name in content.markdown_files(content.CERTS)]


def with_own(recipes: Iterable[pki.Recipe], words: Iterable[str]) -> list[pki.Recipe]:
    """Certificates, and behind them files of one's own.

    Args:
        recipes: those that are known by their names.
        words: as for `select`; those that are paths (`./mine.md`) name such files.

    Raises:
        UserError: there is no such file, it is not well-formed, or its name is taken: reports and
            baselines tell certificates apart by that.
    """
    known = {recipe.name: recipe for recipe in recipes}
    taken = {n: path.resolve() for n, path in content.markdown_files(content.CERTS).items()}
    for word in filter(content.is_path, words):
        recipe, path = pki.load_recipe(word), Path(word).resolve()
        if taken.setdefault(recipe.name, path) != path:
            raise UserError(
                f"{word}: another certificate is called {recipe.name!r}: {taken[recipe.name]}; "
                "give the file a name of its own, by which reports tell it apart"
            )
        known[recipe.name] = recipe
    return list(known.values())


def select(recipes: Iterable[S], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[S]:
    """Choose certificates.

    Args:
        recipes: to choose from, or cases.
        only: names, severities (`must`), weaknesses (`CWE-297`), paths of files that are among
            them, or namespaces (`rfc5280::nc`, `webpki::`); empty for all.
        exclude: the same, for those to leave out.

    Raises:
        UserError: a word means none of them, or nothing is left.
    """
    known = list(recipes)
    for word in (*only, *exclude):
        if not any(_matches(recipe, word) for recipe in known):
            _refuse(word, [recipe.name for recipe in known])
    chosen = [
        recipe
        for recipe in known
        if (not only or any(_matches(recipe, word) for word in only))
        and not any(_matches(recipe, word) for word in exclude)
    ]
    if not chosen:
        raise UserError("no certificate is left to try: --only and --exclude leave none")
    return chosen


def _refuse(word: str, names: Sequence[str]) -> NoReturn:
    """Say that a word means none of these, with what may have been meant."""
    if word in SEVERITIES or _is_cwe(word):
        raise UserError(f"no certificate of the catalogue goes by {word!r}")
    namespaces = sorted({name.partition("::")[0] for name in names if "::" in name})
    if namespaces:
        near = difflib.get_close_matches(word, [*namespaces, *names], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"namespaces: {', '.join(namespaces)}"
        raise UserError(f"unknown test case, namespace, severity or CWE {word!r}: {hint}")
    content.find("certificate, severity or CWE", dict.fromkeys(names, content.CERTS), word)
    raise UserError(f"{word} is none of the certificates to choose from")


def _matches(recipe: _Selectable, word: str) -> bool:
    if _is_cwe(word):
        return int(word[4:]) in recipe.cwe
    if content.is_path(word):
        return Path(word).stem == recipe.name
    if recipe.name.startswith(f"{word.removesuffix('::')}::"):
        return True
    return word in (recipe.name, recipe.severity)


def _is_cwe(word: str) -> bool:
    return word[:4].upper() == "CWE-" and word[4:].isascii() and word[4:].isdigit()


def names_under_test(name: str) -> list[str]:
    """The name that clients are to expect, and those of this machine, which they dial."""
    return list(dict.fromkeys((name, LOCALHOST, "127.0.0.1", "::1")))


def forge_suite(
    recipes: Iterable[pki.Recipe], name: str = LOCALHOST, lab: pki.Authority | None = None
) -> Suite:
    """Forge certificates, all by the same two authorities, made for this.

    Args:
        recipes: which. The genuine one is the control, whether among them or not.
        name: the DNS name or IP address that the client is to expect.
        lab: the CA that the client trusts, if it has that already; see `pki.Authorities`.

    Raises:
        UserError: the name is neither.
    """
    must_be_a_name(name)
    authorities = pki.Authorities(names_under_test(name), lab)
    now = datetime.now(UTC)
    control = _forge(pki.load_recipe(CONTROL), name, authorities, now)
    cases = tuple(_forge(r, name, authorities, now) for r in recipes if r.name != CONTROL)
    return Suite(control, cases)


def _forge(recipe: pki.Recipe, name: str, authorities: pki.Authorities, now: datetime) -> Case:
    chain, unsupported = None, ""
    try:
        chain = pki.forge(recipe, name, authorities, now)
    except pki.Unsupported as error:
        unsupported = str(error)
    return Case(
        name=recipe.name,
        title=recipe.title,
        expect=recipe.expect,
        severity=recipe.severity,
        cwe=recipe.cwe,
        rule=recipe.rule,
        fix=recipe.fix,
        lesson=recipe.lesson,
        chain=chain,
        unsupported=unsupported,
        family=recipe.family,
    )
