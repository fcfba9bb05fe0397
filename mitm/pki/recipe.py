"""Recipes: what a certificate file in certs/ may say. The fields are documented in its README."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mitm import content, front_matter
from mitm.address import is_ip
from mitm.errors import UserError
from mitm.pki.authority import AuthorityName
from mitm.pki.names import alternative, distinguished, fill, general, of_address
from mitm.pki.unsupported import Unsupported

KeyKind = Literal[
    "ec-p256",
    "ec-p384",
    "ec-p256-explicit",
    "rsa-512",
    "rsa-1024",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "rsa-16384",
    "ed25519",
]
Hash = Literal["sha256", "sha384", "sha512", "sha1", "md5"]
Breakage = Literal["bad-signature", "zero-signature", "other-key", "replaced-key"]
Severity = Literal["must", "should", "info"]
# The sections of the catalogue, in its order; `own` is for the files that users write themselves.
Family = Literal[
    "trust",
    "name",
    "time",
    "authority",
    "purpose",
    "cryptography",
    "protocol",
    "effort",
    "sequence",
    "configuration",
    "offer",
    "accepted",
    "own",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
Version = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
# "-1h", "+1d": relative to the moment of forging.
Offset = Annotated[str, msgspec.Meta(pattern=r"^[+-]\d{1,6}[smhd]$")]
# Of another link in the chain: the leaf is number 0.
Position = Annotated[int, msgspec.Meta(ge=0, le=999)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-fA-F]{2})+$")]
# `DNS:name`, `IP:address`, `URI:…`, `EMAIL:…`.
GeneralName = Annotated[str, msgspec.Meta(pattern=r"^(DNS|IP|URI|EMAIL):[^\n]*$")]
KeyUsage = Literal[
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
]

# RFC 5280 section 4.1.2.2 has 20 octets at the most, and positive ones. What is not is made, too.
_SERIAL_LIMIT = 1 << 8 * 64

# A certificate of 64 KiB is more than most clients read.
_MANY = 20_000

# What a client dials where a recipe says `dial: ip`.
_LOOPBACK = "127.0.0.1"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

# Stand for the name under test when a file is read: long enough for every placeholder.
_SOME_NAME, _SOME_ADDRESS = "xn--4ca.b.c.example", "192.0.2.1"


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a recipe: a misspelt key is a mistake, not a comment."""


Many = Annotated[int, msgspec.Meta(ge=0, le=_MANY)]


class BasicConstraints(_Strict, frozen=True):
    """RFC 5280 section 4.2.1.9."""

    ca: bool
    path_length: Annotated[int, msgspec.Meta(ge=0)] | None = None
    critical: bool = True

    def __post_init__(self) -> None:
        if self.path_length is not None and not self.ca:
            raise ValueError("path_length: only a CA has one")


class NameConstraints(_Strict, frozen=True):
    """RFC 5280 section 4.2.1.10; IP constraints are networks, `IP:127.0.0.1/32`.

    Attributes:
        more: so many further names are excluded, all below `example`.
    """

    permitted: tuple[GeneralName, ...] = ()
    excluded: tuple[GeneralName, ...] = ()
    critical: bool = True
    more: Many = 0

    def __post_init__(self) -> None:
        for key, names in (("permitted", self.permitted), ("excluded", self.excluded)):
            _check(key, names, lambda n: general(_filled(n), network=True))
        if not self.permitted and not self.excluded:
            raise ValueError("it constrains nothing: give permitted or excluded, or 'absent'")


class RawExtension(_Strict, frozen=True):
    """An extension given byte by byte, in hexadecimal DER."""

    oid: str
    der: Hex
    critical: bool = False

    def __post_init__(self) -> None:
        _check("oid", [self.oid], _object_identifier)


class Link(_Strict, frozen=True):
    """One certificate of a chain.

    What is left out takes the value of a sound certificate of its place in the chain: a leaf for
    the name under test, or a CA above it. `None` stands for that; an empty list for "absent".
    """

    subject: str | None = None
    issuer: str | None = None
    signed_by: Literal["next", "self"] | AuthorityName | Position | None = None
    key: KeyKind = "ec-p256"
    same_key_as: AuthorityName | Position | None = None
    hash: Hash = "sha256"
    version: Literal[1, 3] = 3
    serial: int | None = None
    not_before: Offset = "-1h"
    not_after: Offset | None = None
    san: tuple[GeneralName, ...] | None = None
    san_more: Many = 0
    san_critical: bool = False
    key_usage: tuple[KeyUsage, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    extended_key_usage_critical: bool = False
    basic_constraints: BasicConstraints | Literal["absent"] | None = None
    name_constraints: NameConstraints | Literal["absent"] | None = None
    extensions: tuple[RawExtension, ...] = ()
    breakages: tuple[Breakage, ...] = ()
    send: bool | None = None
    trusted: bool | Literal["also"] = False
    repeat: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    genuine: bool = False

    def __post_init__(self) -> None:
        if self.genuine and (others := self._said() - {"genuine"}):
            raise ValueError(f"genuine: it is as it is, and has no {', '.join(sorted(others))}")
        for key, text in (("subject", self.subject), ("issuer", self.issuer)):
            if text is not None:
                _check(key, [text], lambda t: distinguished(_filled(t)))
        _check("san", self.san or (), lambda n: alternative(_filled(n)))
        _check("extended_key_usage", self.extended_key_usage or (), key_purpose)
        if self.serial is not None and abs(self.serial) >= _SERIAL_LIMIT:
            raise ValueError("serial: longer than 64 octets; RFC 5280 section 4.1.2.2 allows 20")
        if self.not_after is not None and offset(self.not_after) <= offset(self.not_before):
            raise ValueError(f"not_after: {self.not_after} is not after {self.not_before}")
        if "other-key" in self.breakages and self.key not in ("ec-p256", "ec-p384"):
            raise ValueError("breakages: other-key takes a key of kind ec-p256 or ec-p384")
        if "replaced-key" in self.breakages and not self.key.startswith("ec-p256"):
            raise ValueError("breakages: replaced-key takes a key of kind ec-p256")
        if self.same_key_as is not None and self.key != "ec-p256":
            raise ValueError("same_key_as: the key is another's, so it has no `key` of its own")

    def _said(self) -> set[str]:
        """What is not left out."""
        fields = msgspec.structs.fields(self)
        return {field.name for field in fields if getattr(self, field.name) != field.default}


class AuthorityLink(_Strict, frozen=True):
    """The end of a chain that one of the lab's own authorities has signed."""

    authority: AuthorityName
    send: bool = False


class Tls(_Strict, frozen=True):
    """How a chain is served, where the flaw is in the protocol and not in a certificate.

    Attributes:
        minimum, maximum: versions, None for what the local OpenSSL speaks by default.
        ciphers: OpenSSL's cipher list for TLS 1.2 and older.
        alpn: what is chosen in place of the server's own choice; `none` chooses nothing.
        plaintext: what the ClientHello is answered with in the place of TLS: HTTP/2 in plaintext
            (True), or HTTP/1.1.
    """

    minimum: Version | None = None
    maximum: Version | None = None
    ciphers: str | None = None
    alpn: Literal["none", "http/1.1"] | None = None
    plaintext: bool | Literal["http/1.1"] = False

    def __post_init__(self) -> None:
        if self.minimum and self.maximum and self.minimum > self.maximum:
            raise ValueError(f"minimum: {self.minimum} is above the maximum, {self.maximum}")


class _FrontMatter(_Strict, frozen=True):
    title: str
    expect: Literal["accept", "reject"]
    chain: tuple[dict[str, object], ...]
    client: Literal["accept", "reject"] | None = None
    family: Family = "own"
    severity: Severity = "must"
    rule: str = ""
    fix: str = ""
    cwe: tuple[int, ...] = ()
    dial: Literal["name", "ip"] = "name"
    reverse: bool = False
    tls: Tls = Tls()


class Recipe(msgspec.Struct, frozen=True):
    """A certificate that can be presented.

    Attributes:
        name: of its file.
        expect: what a correct client does.
        chain: from the leaf to the root.
        client: what a correct server does when a client shows it; None if it is for servers alone.
        family: the section of the catalogue that it stands in.
        severity: how far `expect` binds: every TLS client (`must`), a good one (`should`), or
            none, because sound clients differ (`info`).
        rule: the rule that it keeps or breaks, with its source, in one line.
        fix: what to change in a client that accepts it, in one line.
        cwe: numbers in the Common Weakness Enumeration.
        dial: whether the client is to dial the name under test, or 127.0.0.1 in its place.
        reverse: whether what follows the leaf is sent in the wrong order.
        tls: how it is served.
        lesson: the file's body, as Markdown.
    """

    name: str
    title: str
    expect: Literal["accept", "reject"]
    chain: tuple[Link | AuthorityLink, ...]
    client: Literal["accept", "reject"] | None
    family: Family
    severity: Severity
    rule: str
    fix: str
    cwe: tuple[int, ...]
    dial: Literal["name", "ip"]
    reverse: bool
    tls: Tls
    lesson: str

    @property
    def needs_lab_ca(self) -> bool:
        """Whether a CA that the client trusts has a part in it."""
        leaf = self.chain[0]
        if isinstance(leaf, Link) and "replaced-key" in leaf.breakages:
            # It has signed something else.
            return False
        return any(
            (isinstance(link, AuthorityLink) and link.authority == "lab")
            or (isinstance(link, Link) and "lab" in (link.signed_by, link.same_key_as))
            or (isinstance(link, Link) and (link.trusted is not False or link.genuine))
            for link in self.chain
        )

    @property
    def needs_system_ca(self) -> bool:
        """Whether a CA has a part in it that the client's machine is to trust."""
        return any(
            (isinstance(link, AuthorityLink) and link.authority == "system")
            or (isinstance(link, Link) and link.signed_by == "system")
            for link in self.chain
        )

    @property
    def place(self) -> tuple[int, int, int, str]:
        """What it is sorted by where it is listed."""
        return place(self.family, self.severity, self.expect, self.name)

    def dialled(self, name: str) -> str:
        """What the client is to dial, and to expect in the certificate.

        Args:
            name: DNS name or IP address under test.
        """
        return _LOOPBACK if self.dial == "ip" and not is_ip(name) else name


def place(
    family: Family, severity: Severity, expect: Literal["accept", "reject"], name: str
) -> tuple[int, int, int, str]:
    """What the catalogue is sorted by.

    By family; then by severity, what binds most first; then what is to be rejected before what is
    to be accepted; then by name.
    """
    return (
        FAMILIES.index(family),
        get_args(Severity).index(severity),
        ("reject", "accept").index(expect),
        name,
    )


def load_recipe(name: str) -> Recipe:
    """Load a certificate's recipe.

    Args:
        name: of one in certs/, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed; file, key and reason are named.
    """
    return read_recipe(content.find("certificate", content.markdown_files(content.CERTS), name))


def read_recipe(path: Path) -> Recipe:
    """Read a certificate's recipe from its file.

    Raises:
        UserError: it is not well-formed; file, key and reason are named.
    """
    front, lesson = front_matter.load(path, _FrontMatter)
    fields = msgspec.structs.asdict(front) | {"chain": links_of(path, front.chain)}
    return Recipe(name=path.stem, lesson=lesson, **fields)


def links_of(path: Path, chain: Sequence[dict[str, object]]) -> tuple[Link | AuthorityLink, ...]:
    """The links of a chain, as it stands in a file.

    Args:
        path: of the file, for error messages.
        chain: what is said of each link, the leaf first.

    Raises:
        UserError: it is not well-formed; file, key and reason are named.
    """
    if not chain:
        raise UserError(f"{path}: chain: it holds no certificate")
    links: list[Link | AuthorityLink] = []
    for number, data in enumerate(chain):
        within = f"chain[{number}]"
        if "authority" in data:
            links.append(front_matter.convert(path, data, AuthorityLink, within))
        else:
            given = front_matter.convert(path, data, Link, within)
            links += [msgspec.structs.replace(given, repeat=1)] * given.repeat
    leaf, *above = links
    if isinstance(leaf, AuthorityLink):
        raise UserError(f"{path}: chain[0]: the leaf is a link of its own, not an authority")
    if leaf.send is False:
        raise UserError(f"{path}: chain[0].send: the leaf is always sent")
    if leaf.genuine:
        raise UserError(f"{path}: chain[0].genuine: for the leaf that is `breakages: [other-key]`")
    for number, link in enumerate(above, start=1):
        if isinstance(link, AuthorityLink):
            if link is not above[-1]:
                raise UserError(f"{path}: chain[{number}]: an authority is the end of a chain")
            continue
        for breakage in ("other-key", "replaced-key"):
            if breakage in link.breakages:
                raise UserError(f"{path}: chain[{number}].breakages: {breakage} is for the leaf")
    for number, each in enumerate(links):
        if isinstance(each, Link):
            _must_lead_to_links(path, number, each, links)
    return tuple(links)


def _must_lead_to_links(
    path: Path, number: int, link: Link, links: Sequence[Link | AuthorityLink]
) -> None:
    """See that the positions that a link names are those of others in its chain."""
    following = links[number + 1] if number + 1 < len(links) else None
    by_next = link.signed_by in (None, "next") and not link.genuine
    if by_next and isinstance(following, Link) and following.genuine:
        raise UserError(f"{path}: chain[{number}].signed_by: nobody here has the genuine one's key")
    for key, position in (("signed_by", link.signed_by), ("same_key_as", link.same_key_as)):
        if not isinstance(position, int):
            continue
        other = links[position] if position < len(links) else None
        if not isinstance(other, Link):
            raise UserError(f"{path}: chain[{number}].{key}: there is no link number {position}")
        if other.genuine:
            raise UserError(f"{path}: chain[{number}].{key}: nobody here has the genuine one's key")
        if key == "same_key_as" and (position == number or other.same_key_as is not None):
            raise UserError(f"{path}: chain[{number}].{key}: number {position} has no own key")


def offset(text: str) -> timedelta:
    """The time that an offset such as `-1h` stands for."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def key_purpose(text: str) -> x509.ObjectIdentifier:
    """An extended key usage, from its name in RFC 5280 section 4.2.1.12 (`server_auth`) or its OID.

    Raises:
        ValueError: neither is known by that name.
    """
    if text[:1].isdigit():
        return _object_identifier(text)
    oid = getattr(ExtendedKeyUsageOID, text.upper(), None)
    if not isinstance(oid, x509.ObjectIdentifier):
        raise ValueError(f"unknown purpose {text!r}: write its OID, or server_auth, client_auth, …")
    return oid


def _object_identifier(text: str) -> x509.ObjectIdentifier:
    try:
        return x509.ObjectIdentifier(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an object identifier, such as 2.5.29.17") from None


def _filled(text: str) -> str:
    return fill(text, _SOME_ADDRESS if text.startswith("IP:") or of_address(text) else _SOME_NAME)


def _check(key: str, values: Iterable[str], parse: Callable[[str], object]) -> None:
    """Try each value, so that a mistake is told with its key when the file is read."""
    for value in values:
        try:
            parse(value)
        except (ValueError, Unsupported) as error:
            raise ValueError(f"{key}: {error}") from None
