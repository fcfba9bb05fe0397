"""Ways into a server, by clients that should not get in: the files in certs/clients/."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError
from mitm.pki.recipe import AuthorityLink, Family, Link, Recipe, Severity, Tls, links_of, place

# What a client shows: the certificate that it was given, none, or a copy that anybody can make.
Show = Literal["good", "none", "other-key", "altered", "replaced-key", "copied", "renamed"]

# Whom a certificate that is made for the way names.
Who = Literal[
    "good",
    "other",
    "common-name",
    "common-name-alone",
    "none",
    "lookalike",
    "other-kind",
    "nul",
    "wildcard",
    "injected",
]

# Which name is asked for in the ClientHello (SNI, RFC 6066 section 3), or in `:authority`.
ServerName = Literal["right", "other", "none", "mixed-case", "trailing-dot"]

# How the method is named in `:path`.
Path_ = Literal["right", "without-slash", "double-slash", "encoded"]


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    cause: str = "other"
    family: Family = "own"
    expect: Literal["accept", "reject"] = "reject"
    severity: Severity = "must"
    rule: str = ""
    fix: str = ""
    cwe: tuple[int, ...] = ()
    after: str = ""
    show: Show | None = None
    chain: tuple[dict[str, object], ...] = ()
    signed_by: Literal["authority", "good"] = "authority"
    who: Who = "good"
    server_name: ServerName = "right"
    authority: Literal["right", "other"] = "right"
    path: Path_ = "right"
    metadata: dict[str, str] = {}
    fragmented: bool = False
    plaintext: bool = False
    tls: Tls = Tls()
    resume: Literal["other-name", "same"] | None = None

    def __post_init__(self) -> None:
        if bool(self.show) == bool(self.chain):
            raise ValueError("show: say what the client shows, or give a chain")
        if self.who != "good" and not self.chain:
            raise ValueError("who: it is for a chain, whose leaf names somebody")


class Way(msgspec.Struct, frozen=True):
    """A way into a server.

    Attributes:
        name: of its file.
        cause: what is wrong with a server that it leads into, see `mitm.audit.servers.cause`.
        family, expect, severity, rule, fix, cwe, lesson: as of a recipe; what a correct server
            does.
        after: the way that proves more; where that leads in as well, this one proves nothing.
        show: which certificate the client shows; None for the chain.
        chain: from the leaf to the root, where one is made; () if not.
        signed_by: who stands in it for the `lab`: the clients' CA, or the good certificate.
        who: whom its leaf names, where it does not say.
        server_name, authority: which name is asked for, in TLS and in HTTP/2.
        path: how the method is named.
        metadata: further headers of the request.
        fragmented: whether the ClientHello comes in several records.
        plaintext: whether there is no TLS.
        tls: versions that are spoken.
        resume: a session is resumed that was made by the same client under another name, or by
            this one; None for no session.
    """

    name: str
    title: str
    cause: str
    family: Family
    expect: Literal["accept", "reject"]
    severity: Severity
    rule: str
    fix: str
    cwe: tuple[int, ...]
    after: str
    show: Show | None
    chain: tuple[Link | AuthorityLink, ...]
    signed_by: Literal["authority", "good"]
    who: Who
    server_name: ServerName
    authority: Literal["right", "other"]
    path: Path_
    metadata: dict[str, str]
    fragmented: bool
    plaintext: bool
    tls: Tls
    resume: Literal["other-name", "same"] | None
    lesson: str

    @property
    def recipe(self) -> Recipe:
        """The certificate that is made for it."""
        return Recipe(
            name=self.name,
            title=self.title,
            expect=self.expect,
            chain=self.chain,
            client=self.expect,
            family=self.family,
            severity=self.severity,
            rule=self.rule,
            fix=self.fix,
            cwe=self.cwe,
            dial="name",
            reverse=False,
            tls=self.tls,
            lesson=self.lesson,
        )

    @property
    def needs_client_ca(self) -> bool:
        """Whether the key of the clients' CA has to sign for it."""
        return self.signed_by == "authority" and any(
            link.authority == "lab"
            if isinstance(link, AuthorityLink)
            else "lab" in (link.signed_by, link.same_key_as)
            for link in self.chain
        )

    @property
    def place(self) -> tuple[int, int, int, str]:
        """What it is sorted by where it is listed, as recipes are."""
        return place(self.family, self.severity, self.expect, self.name)


def load_way(name: str) -> Way:
    """Load a way.

    Args:
        name: of one in certs/clients/, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed; file, key and reason are named.
    """
    known = content.ways()
    path = content.find("way", known, name)
    front, lesson = front_matter.load(path, _FrontMatter)
    if front.after and front.after not in known:
        raise UserError(f"{path}: after: no way is called {front.after!r}")
    fields = {name: getattr(front, name) for name in front.__struct_fields__}
    fields["chain"] = links_of(path, front.chain) if front.chain else ()
    return Way(name=path.stem, lesson=lesson, **fields)


# Keys that nothing else has.
_OWN_KEYS = ("show", "who", "after", "cause", "server_name", "fragmented", "resume")


def is_way(path: Path) -> bool:
    """Whether a file is about a way into a server.

    Raises:
        UserError: it cannot be read.
    """
    return bool(front_matter.has_key(path, _OWN_KEYS))


def all_ways() -> list[Way]:
    """All that come with the project, in the order of their names."""
    return [load_way(name) for name in content.ways()]


def with_own_ways(words: Iterable[str]) -> list[Way]:
    """All ways, and behind them files of one's own.

    Args:
        words: as for `select`; those that are paths (`./mine.md`) name such files.

    Raises:
        UserError: there is no such file, it is not well-formed, or its name is taken.
    """
    known = {way.name: way for way in all_ways()}
    taken = {name: path.resolve() for name, path in content.ways().items()}
    for word in filter(content.is_path, words):
        way, path = load_way(word), Path(word).resolve()
        if taken.setdefault(way.name, path) != path:
            raise UserError(
                f"{word}: another way is called {way.name!r}: {taken[way.name]}; give the file a "
                "name of its own, by which reports tell it apart"
            )
        known[way.name] = way
    return list(known.values())
