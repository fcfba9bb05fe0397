"""What a client's first message must not offer, or must: findings that take no run of their own.

Each rule is a file of certs/offers/, held against what the client offered in the control.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec

from mitm import content, front_matter
from mitm.address import is_ip
from mitm.errors import UserError
from mitm.evidence import Offer
from mitm.pki.recipe import Family, Severity, place

Pattern = Annotated[str, msgspec.Meta(min_length=1)]

# Names of suites in a sentence.
_MOST = 4


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must not be on offer.

    Attributes:
        versions: of TLS, none of which may be.
        suites: a regular expression over whole names of cipher suites, none of which may be.
    """

    versions: tuple[str, ...] = ()
    suites: Pattern | None = None


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be on offer.

    Attributes:
        suites: a regular expression over whole names of cipher suites, one of which must be.
        server_name: whether the name must be told, if it is one that SNI can tell.
        alpn: the protocol that must be, where that is the one that is then spoken.
    """

    suites: Pattern | None = None
    server_name: bool = False
    alpn: Literal["h2"] | None = None


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    severity: Severity
    rule: str
    fix: str
    cwe: tuple[int, ...]
    offered: Offered = Offered()
    missing: Missing = Missing()


class OfferRule(msgspec.Struct, frozen=True):
    """One thing that an offer must not hold, or must.

    Attributes:
        name: of its file.
        severity: how far it binds, as of a certificate.
        rule: with its source, in one line.
        fix: what to change in a client that breaks it.
        cwe: numbers in the Common Weakness Enumeration.
        offered: what must not be on offer.
        missing: what must be.
        lesson: the file's body, as Markdown.
    """

    name: str
    title: str
    severity: Severity
    rule: str
    fix: str
    cwe: tuple[int, ...]
    offered: Offered
    missing: Missing
    lesson: str

    @property
    def family(self) -> Family:
        """The section of the catalogue that it stands in."""
        return "offer"

    @property
    def expect(self) -> Literal["accept", "reject"]:
        """What a correct client does with what it is about."""
        return "reject"

    @property
    def place(self) -> tuple[int, int, int, str]:
        """What it is sorted by where it is listed, as recipes are."""
        return place(self.family, self.severity, self.expect, self.name)


def load_offer_rule(name: str) -> OfferRule:
    """Load a rule.

    Args:
        name: of one in certs/offers/, or the path of a file.

    Raises:
        UserError: there is none, or it is not well-formed; file, key and reason are named.
    """
    path = content.find("rule", content.markdown_files(content.OFFERS), name)
    front, lesson = front_matter.load(path, _FrontMatter)
    for key, part in (("offered", front.offered), ("missing", front.missing)):
        try:
            re.compile(part.suites or "")
        except re.error as error:
            raise UserError(f"{path}: {key}.suites: no regular expression: {error}") from None
    return OfferRule(name=path.stem, lesson=lesson, **msgspec.structs.asdict(front))


def offer_rules() -> list[OfferRule]:
    """All rules that come with the project, in the order of their names."""
    return [load_offer_rule(name) for name in content.markdown_files(content.OFFERS)]


def judge_offers(rule: OfferRule, offers: Sequence[Offer], name: str) -> tuple[bool | None, str]:
    """Hold a rule against what a client has offered.

    Args:
        rule: which.
        offers: of the client's connections over TLS on which it then sent data.
        name: DNS name or IP address that it was to expect.

    Returns:
        Whether the client keeps it, and why; None if nothing that it did is under this rule.
    """
    if not offers:
        return None, "it speaks no TLS"
    missing = rule.missing
    if missing.server_name and is_ip(name):
        return None, f"no client tells an address such as {name} (RFC 6066 section 3): try a name"
    if missing.server_name and "." not in name.rstrip("."):
        return None, f"some clients tell no such name as {name} by right: try one with a dot in it"
    if missing.alpn:
        offers = [offer for offer in offers if offer.protocol == "HTTP/2"]
        if not offers:
            return None, "it makes no call over HTTP/2"
    faults = dict.fromkeys(fault for offer in offers for fault in _faults(rule, offer))
    if faults:
        return False, "; ".join(faults)
    return True, "keeps to it"


def _faults(rule: OfferRule, offer: Offer) -> Iterator[str]:
    """What is wrong with one offer, in words whose subject is the client."""
    if versions := [each for each in offer.versions if each in rule.offered.versions]:
        yield f"offers {_told(versions)}"
    if rule.offered.suites:
        suites = [s for s in offer.cipher_suites if re.fullmatch(rule.offered.suites, s)]
        if suites:
            yield f"offers {_told(suites)}"
    missing = rule.missing
    if missing.suites and not any(re.fullmatch(missing.suites, s) for s in offer.cipher_suites):
        yield f"offers none of them, but {_told(offer.cipher_suites)}"
    if missing.server_name and not offer.server_name:
        yield "does not say which server it wants (SNI)"
    if missing.alpn and missing.alpn not in offer.alpn:
        others = f"but {_told(offer.alpn)}" if offer.alpn else "nor any other protocol"
        yield f"does not offer {missing.alpn} (ALPN), {others}, and speaks it"


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
