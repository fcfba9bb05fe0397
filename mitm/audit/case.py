"""What a client is tried with: one certificate and what a correct client does with it."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NoReturn, Protocol, TypeVar

import msgspec

from mitm import content, front_matter, pki
from mitm.address import LOCALHOST, must_be_a_name
from mitm.audit.attack import GENUINE, Attack, load_attack
from mitm.audit.offer import OfferRule, load_offer_rule, offer_rules
from mitm.audit.scope import Scope, catalogue_digest, digest_of, shard
from mitm.errors import UserError
from mitm.pki.recipe import Family, Severity, read_recipe

CONTROL = GENUINE

Expectation = Literal["accept", "reject"]
# What stands behind the name of a certificate that is presented once more, over TLS 1.2.
TWIN = ":tls-1.2"

Tls = Literal["1.2"]

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
        not_exercised: why it is not played with this client, "" if it is.
        family: the section of the catalogue that it stands in.
        attack: what is done in steps, with `chains`; None for a certificate that is presented on
            each connection.
        chains: what an attack presents, by the recipes' names. A recipe that cannot be made for
            the name under test is left out.
        offer: a rule about what the client offered in the control; nothing is presented then.
        cause: of a way into a server, what is wrong with one that it leads into.
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
    attack: Attack | None = None
    chains: dict[str, pki.Chain] = {}
    not_exercised: str = ""
    offer: OfferRule | None = None
    cause: str = ""

    @property
    def dialled(self) -> pki.Chain:
        """The chain that says what the client dials, whom it expects, and whom it trusts."""
        return self.chain or self.chains[CONTROL]

    def with_root_sent(self) -> "Case":
        """The same, with the root behind the genuine certificate."""
        chains = self.chains
        if CONTROL in chains:
            chains = chains | {CONTROL: chains[CONTROL].with_anchor()}
        chain = self.chain.with_anchor() if self.chain else None
        return msgspec.structs.replace(self, chain=chain, chains=chains)

    def unplanted(self, reason: str) -> "Case":
        """The same for a client whose trust store cannot be played, with the reason."""
        if self.chain and self.chain.system_pem:
            return msgspec.structs.replace(self, not_exercised=reason)
        chains = {name: chain for name, chain in self.chains.items() if not chain.system_pem}
        return msgspec.structs.replace(self, chains=chains)


class Suite(msgspec.Struct, frozen=True):
    """The cases of one audit, made by the same authorities.

    Attributes:
        control: the genuine certificate: a client that does not get through with it proves nothing
            by rejecting the others.
        cases: what the client is tried with.
        whole: the suite that these are a shard of; None if that is this one.
        shards, of: which of its shards, and how many there are.
    """

    control: Case
    cases: tuple[Case, ...]
    whole: "Suite | None" = None
    shards: tuple[int, ...] = (1,)
    of: int = 1

    @property
    def attacks_each_position(self) -> bool:
        """Whether each connection of a client that makes several is attacked by itself.

        Another shard may do it: who judges by all of them misses nothing.
        """
        if self.whole:
            return self.whole.attacks_each_position
        return any(
            case.attack is not None and case.attack.each_position and not case.unsupported
            for case in self.cases
        )

    @property
    def pin_pem(self) -> bytes:
        """The genuine leaf, for clients that pin it."""
        assert self.control.chain is not None
        return self.control.chain.leaf_pem

    def shard(self, number: int, of: int) -> "Suite":
        """One of the parts that a suite is split into, so that several hosts share the work.

        Args:
            number: of the part, from 1 on.
            of: how many parts there are.

        Raises:
            UserError: there would be parts with nothing in them.
        """
        count = len(self.cases)
        if of > count:
            raise UserError(
                f"--shard {number}/{of}: there is nothing in some of these, as there are only "
                f"{count} certificates and attacks to try: make no more shards than that"
            )
        names = shard((case.name for case in self.cases), number, of)
        cases = tuple(case for case in self.cases if case.name in names)
        return Suite(self.control, cases, self, (number,), of)

    def scope(self, roots: str, mode: str) -> Scope:
        """What a report about this suite is about.

        Args:
            roots, mode: of the setting.
        """
        whole = self.whole or self
        told = sorted((case.name, case.expect, case.severity, case.lesson) for case in whole.cases)
        return Scope(
            name=self.control.dialled.server_name,
            roots=roots,
            mode=mode,
            catalogue=catalogue_digest(),
            suite=digest_of(told),
            certificates=len(whole.cases),
            shards=self.shards,
            of=self.of,
        )

    def without(self, obstacle: Callable[["Case"], str]) -> "Suite":
        """The same, without some that are not played with this client.

        Args:
            obstacle: gives the reason, "" for those that are.
        """
        cases = (
            msgspec.structs.replace(case, not_exercised=case.not_exercised or obstacle(case))
            for case in self.cases
        )
        return msgspec.structs.replace(self, cases=tuple(cases))

    def with_root_sent(self) -> "Suite":
        """The same, with the genuine certificate in company of the CA that has signed it."""
        control = self.control.with_root_sent()
        cases = tuple(case.with_root_sent() if case.attack else case for case in self.cases)
        return msgspec.structs.replace(self, control=control, cases=cases)

    def unfaulted(self, reason: str) -> "Suite":
        """The same for a client that is not told whom to trust, so that no fault can be in that.

        Args:
            reason: why; "" if it is told.
        """
        if not reason:
            return self
        return self.without(lambda case: reason if case.attack and case.attack.ca else "")

    def unplanted(self, reason: str) -> "Suite":
        """The same for a client whose trust store cannot be played.

        Args:
            reason: why; "" if it can be.
        """
        if not reason:
            return self
        cases = (case.unplanted(reason) for case in self.cases)
        return msgspec.structs.replace(self, cases=tuple(cases))


class _Selectable(Protocol):
    """A recipe, an attack, a rule about offers, or a case."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def cwe(self) -> tuple[int, ...]: ...


S = TypeVar("S", bound=_Selectable)


Entry = pki.Recipe | Attack | OfferRule
"""What a client can be tried with, as it stands in a file."""


def certificates() -> list[pki.Recipe]:
    """All certificates that come with the project, in the order of their names."""
    return [read_recipe(path) for path in content.markdown_files(content.CERTS).values()]


def catalogue() -> list[Entry]:
    """All that comes with the project: certificates, attacks, and rules about offers."""
    attacks = [load_attack(name) for name in content.markdown_files(content.ATTACKS)]
    return [*certificates(), *attacks, *offer_rules()]


def load_entry(word: str) -> Entry:
    """Load a certificate or an attack, by its name or the path of its file.

    Raises:
        UserError: there is none, or it is not well-formed.
    """
    path = content.find("certificate or attack", content.to_try(), word)
    load = loader_of(path) or pki.load_recipe
    return load(str(path))


# By a key that nothing else has.
_LOADERS: dict[str, Callable[[str], Entry]] = {
    "plays": load_attack,
    "each_position": load_attack,
    "ca": load_attack,
    "offered": load_offer_rule,
    "missing": load_offer_rule,
    "chain": pki.load_recipe,
}


def loader_of(path: Path) -> Callable[[str], Entry] | None:
    """What loads a file that a client can be tried with, by what makes it one; None for others.

    Raises:
        UserError: it cannot be read.
    """
    return _LOADERS.get(front_matter.has_key(path, _LOADERS))


def with_own(recipes: Iterable[Entry], words: Iterable[str]) -> list[Entry]:
    """Certificates and attacks, and behind them files of one's own.

    Args:
        recipes: those that are known by their names.
        words: as for `select`; those that are paths (`./mine.md`) name such files.

    Raises:
        UserError: there is no such file, it is not well-formed, or its name is taken: reports and
            baselines tell certificates apart by that.
    """
    known = {recipe.name: recipe for recipe in recipes}
    taken = {name: path.resolve() for name, path in content.to_try().items()}
    for word in filter(content.is_path, words):
        recipe, path = load_entry(word), Path(word).resolve()
        if taken.setdefault(recipe.name, path) != path:
            raise UserError(
                f"{word}: another certificate or attack is called {recipe.name!r}: "
                f"{taken[recipe.name]}; "
                "give the file a name of its own, by which reports tell it apart"
            )
        known[recipe.name] = recipe
    return list(known.values())


def plain_name(name: str) -> str:
    """The name of a certificate, for itself and for its twin over TLS 1.2 alike."""
    return name.removesuffix(TWIN)


def with_twins(recipes: Iterable[Entry], tls: Tls | None = "1.2") -> list[Entry]:
    """All of these, and each certificate once more over TLS 1.2, whose verification is other code.

    What is presented over TLS 1.2 or an older version as it is, or in plaintext, has no twin; that
    of the control is the certificate `tls-1.2`.

    Args:
        recipes: which.
        tls: None for no twins.
    """
    known = list(recipes)
    certificates = [each for each in known if isinstance(each, pki.Recipe)]
    return known + [_twin(each) for each in certificates if tls and _has_twin(each)]


def _has_twin(recipe: pki.Recipe) -> bool:
    tls = recipe.tls
    newest = "TLSv1.3"
    if recipe.name == CONTROL or tls.plaintext or tls.minimum == newest:
        return False
    return tls.maximum in (None, newest)


def _twin(recipe: pki.Recipe) -> pki.Recipe:
    # Who speaks nothing but TLS 1.3 refuses what is sound by right, as it does `tls-1.2`.
    spared = recipe.expect == "accept" and recipe.severity == "must"
    return msgspec.structs.replace(
        recipe,
        name=f"{recipe.name}{TWIN}",
        title=f"{recipe.title} (over TLS 1.2)",
        severity="should" if spared else recipe.severity,
        tls=msgspec.structs.replace(recipe.tls, maximum="TLSv1.2"),
    )


def select(recipes: Iterable[S], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[S]:
    """Choose certificates.

    Args:
        recipes: to choose from, or cases.
        only: names (`expired` means its twin as well), severities (`must`), weaknesses (`CWE-297`),
            paths of files that are among them, or namespaces (`rfc5280::nc`, `webpki::`); empty for
            all.
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
        raise UserError("no certificate or attack is left to try: --only and --exclude leave none")
    return chosen


def _refuse(word: str, names: Sequence[str]) -> NoReturn:
    """Say that a word means none of these, with what may have been meant."""
    if word.endswith(TWIN) and not any(name.endswith(TWIN) for name in names):
        raise UserError(f"{word!r} is tried with --tls 1.2 alone; from Python, with tls='1.2'")
    if word in SEVERITIES or _is_cwe(word):
        raise UserError(f"no certificate or attack of the catalogue goes by {word!r}")
    namespaces = sorted({name.partition("::")[0] for name in names if "::" in name})
    if namespaces:
        near = difflib.get_close_matches(word, [*namespaces, *names], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"namespaces: {', '.join(namespaces)}"
        raise UserError(f"unknown test case, namespace, severity or CWE {word!r}: {hint}")
    content.find("certificate, attack, severity or CWE", dict.fromkeys(names, content.CERTS), word)
    raise UserError(f"{word} is none of the certificates and attacks to choose from")


def _matches(recipe: _Selectable, word: str) -> bool:
    if _is_cwe(word):
        return int(word[4:]) in recipe.cwe
    if content.is_path(word):
        return Path(word).stem == plain_name(recipe.name)
    if recipe.name.startswith(f"{word.removesuffix('::')}::"):
        return True
    return word in (recipe.name, plain_name(recipe.name), recipe.severity)


def _is_cwe(word: str) -> bool:
    return word[:4].upper() == "CWE-" and word[4:].isascii() and word[4:].isdigit()


def names_under_test(name: str) -> list[str]:
    """The name that clients are to expect, and those of this machine, which they dial."""
    return list(dict.fromkeys((name, LOCALHOST, "127.0.0.1", "::1")))


def forge_suite(
    recipes: Iterable[Entry], name: str = LOCALHOST, lab: pki.Authority | None = None
) -> Suite:
    """Forge certificates, all by the same authorities, made for this.

    Args:
        recipes: which. The genuine one is the control, whether among them or not.
        name: the DNS name or IP address that the client is to expect.
        lab: the CA that the client trusts, if it has that already; see `pki.Authorities`.

    Raises:
        UserError: the name is neither.
    """
    must_be_a_name(name)
    authorities = pki.Authorities(names_under_test(name), lab)
    forge = _Forge(name, authorities, datetime.now(UTC))
    # First: others are copies of it, and it is what a client pins.
    control = forge.case(pki.load_recipe(CONTROL))
    cases = tuple(forge.case(entry) for entry in recipes if entry.name != CONTROL)
    return Suite(control, cases)


def described(entry: Entry) -> Case:
    """The case of a file as it is told in reports, with nothing to present."""
    return Case(
        name=entry.name,
        title=entry.title,
        expect=entry.expect,
        severity=entry.severity,
        cwe=entry.cwe,
        rule=entry.rule,
        fix=entry.fix,
        lesson=entry.lesson,
        chain=None,
        family=entry.family,
        attack=entry if isinstance(entry, Attack) else None,
        offer=entry if isinstance(entry, OfferRule) else None,
    )


class _Forge:
    """Makes the cases of a suite; a chain that several of them need is made once."""

    def __init__(self, name: str, authorities: pki.Authorities, now: datetime) -> None:
        self._name = name
        self._authorities = authorities
        self._now = now
        self._made: dict[str, pki.Chain | str] = {}

    def case(self, entry: Entry) -> Case:
        chains: dict[str, pki.Chain] = {}
        made: pki.Chain | str = ""
        if isinstance(entry, pki.Recipe):
            made = self._chain(entry)
        else:
            others = sorted(entry.certificates) if isinstance(entry, Attack) else []
            for name in (CONTROL, *others):
                made = self._made.get(name) or self._chain(pki.load_recipe(name))
                if isinstance(made, pki.Chain):
                    chains[name] = made
            made = made if isinstance(made, str) and len(chains) == 1 else ""
        return msgspec.structs.replace(
            described(entry),
            chain=made if isinstance(made, pki.Chain) else None,
            unsupported=made if isinstance(made, str) else "",
            chains=chains,
            not_exercised=_obstacle(entry),
        )

    def _chain(self, recipe: pki.Recipe) -> pki.Chain | str:
        """The chain, or why it cannot be made."""
        try:
            made: pki.Chain | str = pki.forge(recipe, self._name, self._authorities, self._now)
        except pki.Unsupported as error:
            made = str(error)
        self._made[recipe.name] = made
        return made


def _obstacle(entry: Entry) -> str:
    """Why this is not played on this machine, "" if it is."""
    if isinstance(entry, Attack) and entry.ca == "unreadable" and pki.reads_everything():
        return "this is run by root, who reads every file: run it as another user"
    return ""
