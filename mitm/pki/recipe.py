"""Recipes: what a certificate file in certs/ may say. The fields are documented in its README."""

from typing import Annotated, Literal

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError

KeyKind = Literal["ec-p256", "ec-p384", "rsa-1024", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]
Hash = Literal["sha256", "sha384", "sha512", "sha1", "md5"]
Breakage = Literal["bad-signature", "other-key"]
# "-1h", "+1d": relative to the moment of forging.
Offset = Annotated[str, msgspec.Meta(pattern=r"^[+-]\d+[smhd]$")]
Oid = Annotated[str, msgspec.Meta(pattern=r"^[012](\.\d+)+$")]
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


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a recipe: a misspelt key is a mistake, not a comment."""


class BasicConstraints(_Strict, frozen=True):
    """RFC 5280 section 4.2.1.9."""

    ca: bool
    path_length: int | None = None
    critical: bool = True


class NameConstraints(_Strict, frozen=True):
    """RFC 5280 section 4.2.1.10; IP constraints are networks, `IP:127.0.0.1/32`."""

    permitted: tuple[GeneralName, ...] = ()
    excluded: tuple[GeneralName, ...] = ()
    critical: bool = True


class RawExtension(_Strict, frozen=True):
    """An extension given byte by byte, in hexadecimal DER."""

    oid: Oid
    der: Hex
    critical: bool = False


class Link(_Strict, frozen=True):
    """One certificate of a chain.

    What is left out takes the value of a sound certificate of its place in the chain: a leaf for
    the name under test, or a CA above it. `None` stands for that; an empty list for "absent".
    """

    subject: str | None = None
    issuer: str | None = None
    signed_by: Literal["next", "self", "lab", "attacker"] | None = None
    key: KeyKind = "ec-p256"
    hash: Hash = "sha256"
    version: Literal[1, 3] = 3
    serial: int | None = None
    not_before: Offset = "-1h"
    not_after: Offset = "+1d"
    san: tuple[GeneralName, ...] | None = None
    san_critical: bool = False
    key_usage: tuple[KeyUsage, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    extended_key_usage_critical: bool = False
    basic_constraints: BasicConstraints | Literal["absent"] | None = None
    name_constraints: NameConstraints | Literal["absent"] | None = None
    extensions: tuple[RawExtension, ...] = ()
    breakages: tuple[Breakage, ...] = ()
    send: bool | None = None
    trusted: bool = False


class AuthorityLink(_Strict, frozen=True):
    """The end of a chain that one of the lab's own authorities has signed."""

    authority: Literal["lab", "attacker"]
    send: bool = False


class _FrontMatter(_Strict, frozen=True):
    title: str
    expect: Literal["accept", "reject"]
    chain: tuple[dict[str, object], ...]
    cwe: tuple[int, ...] = ()
    reverse: bool = False


class Recipe(msgspec.Struct, frozen=True):
    """A certificate that can be presented.

    Attributes:
        name: of its file.
        expect: what a correct client does.
        chain: from the leaf to the root.
        cwe: numbers in the Common Weakness Enumeration.
        reverse: whether what follows the leaf is sent in the wrong order.
        lesson: the file's body, as Markdown.
    """

    name: str
    title: str
    expect: Literal["accept", "reject"]
    chain: tuple[Link | AuthorityLink, ...]
    cwe: tuple[int, ...]
    reverse: bool
    lesson: str

    @property
    def needs_lab_ca(self) -> bool:
        """Whether the CA that the client trusts has a part in it."""
        return any(
            (isinstance(link, AuthorityLink) and link.authority == "lab")
            or (isinstance(link, Link) and link.signed_by == "lab")
            for link in self.chain
        )


def load_recipe(name: str) -> Recipe:
    """Load a certificate's recipe.

    Args:
        name: of one in certs/, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed; file, key and reason are named.
    """
    path = content.find("certificate", content.markdown_files(content.CERTS), name)
    front, lesson = front_matter.load(path, _FrontMatter)
    if not front.chain:
        raise UserError(f"{path}: chain: it holds no certificate")
    links: list[Link | AuthorityLink] = []
    for number, data in enumerate(front.chain):
        within = f"chain[{number}]"
        if "authority" in data:
            links.append(front_matter.convert(path, data, AuthorityLink, within))
        else:
            links.append(front_matter.convert(path, data, Link, within))
    if isinstance(links[0], AuthorityLink):
        raise UserError(f"{path}: chain[0]: the leaf is a link of its own, not an authority")
    for number, link in enumerate(links[:-1]):
        if isinstance(link, AuthorityLink):
            raise UserError(f"{path}: chain[{number}]: an authority is the end of a chain")
    return Recipe(
        path.stem, front.title, front.expect, tuple(links), front.cwe, front.reverse, lesson
    )
