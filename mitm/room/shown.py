"""What a page is told of an event: who does what to whom, in the words of `wording`."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec

from mitm import events, pki
from mitm.capture.way import way
from mitm.capture.wording import Mood, describe, one_line
from mitm.events import Event
from mitm.lab.picture import connection_believed

_encode = msgspec.json.Encoder().encode


class Told(NamedTuple):
    """A line of a page, in which nothing is obeyed by anybody.

    Attributes:
        who: says or does it; "" where that goes without saying.
    """

    who: str
    text: str
    mood: Mood = ""


class ShownChain(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chain of certificates, to be laid beside another.

    Attributes:
        certificate: the recipe's name.
        subjects: of each certificate, leaf first.
        issuer: of the leaf.
        names: that the leaf is for.
        valid: when it begins and ends, in a line.
        key: its kind.
        sha256: fingerprint of the leaf.
    """

    certificate: str
    subjects: tuple[str, ...]
    issuer: str
    names: str
    valid: str
    key: str
    sha256: str

    @classmethod
    def of(cls, chain: pki.Chain) -> Self:
        """Of a chain that is there."""
        leaf = pki.leaf_in(chain.certificates[0])
        return cls._made(
            chain.name, chain.subjects, chain.issuer, leaf, chain.key_kind, chain.sha256
        )

    @classmethod
    def told(cls, event: events.CertificatePresented | events.ServerCertificate) -> Self:
        """Of a chain that an event tells of."""
        leaf = pki.Leaf(event.names, event.not_before, event.not_after)
        return cls._made(
            event.certificate, event.subjects, event.issuer, leaf, event.key, event.sha256
        )

    @classmethod
    def _made(
        cls,
        certificate: str,
        subjects: Sequence[str],
        issuer: str,
        leaf: pki.Leaf,
        key: str,
        sha256: str,
    ) -> Self:
        begin, end = (
            text.replace("T", " ").removesuffix("+00:00")
            for text in (leaf.not_before, leaf.not_after)
        )
        return cls(
            certificate=one_line(certificate),
            subjects=tuple(map(one_line, subjects)),
            issuer=one_line(issuer),
            names=one_line(", ".join(leaf.names)),
            valid=f"{begin} to {end} UTC" if begin else "",
            key=key,
            sha256=sha256,
        )


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of a connection, as a page shows it.

    Attributes:
        part: of the page: `stage` or `own`.
        kind: the event's own name.
        at: when it happened, in seconds since the epoch.
        leg: number of the leg, from 0.
        connection: number of the connection, 0 for none.
        way: from whom to whom, by their places in the path.
        lines: what it says.
        believes: what the client is to believe now.
        reads: what the attacker has read with it.
        chain: what was presented.
    """

    part: str
    kind: str
    at: float
    leg: int = 0
    connection: int = 0
    way: tuple[int, int] | None = None
    lines: tuple[Told, ...] = ()
    believes: tuple[Told, ...] = ()
    reads: tuple[Told, ...] = ()
    chain: ShownChain | None = None


def encoded(record: object) -> bytes:
    """A record as a line of JSON."""
    return _encode(record)


class Where(NamedTuple):
    """Where an event happens.

    Attributes:
        part: of the page.
        leg: its number.
        path: who stands where.
        attacker: the place of the attacker in the path; None if there is none.
    """

    part: str
    leg: int
    path: Sequence[str]
    attacker: int | None


def shown(event: Event, where: Where) -> Shown | None:
    """What a page shows of an event; None if others tell of it.

    Args:
        event: of a connection, or a genuine chain.
        where: it has happened.
    """
    chain = None
    if isinstance(event, events.CertificatePresented | events.ServerCertificate):
        chain = ShownChain.told(event)
    lines = tuple(Told(who, one_line(text), mood) for who, text, mood in describe(event))
    if isinstance(event, events.Frame) or not (lines or chain):
        return None
    if isinstance(event, events.ServerCertificate):
        lines = (Told(one_line(event.member), _genuine(event)),)
    return Shown(
        part=where.part,
        kind=str(event.__struct_config__.tag),
        at=event.time,
        leg=where.leg,
        connection=event.connection,
        way=_way(event, where),
        lines=lines,
        believes=tuple(_believes(event)),
        reads=tuple(_reads(event, lines)),
        chain=chain,
    )


def _genuine(event: events.ServerCertificate) -> str:
    subject = event.subjects[0] if event.subjects else "nobody"
    return one_line(f"presents {event.certificate}: {subject}, issued by {event.issuer}")


def _way(event: Event, where: Where) -> tuple[int, int] | None:
    """From whom to whom, by their places."""
    if where.attacker is None:
        return (1, 0) if isinstance(event, events.ServerCertificate) else None
    return way(event, where.attacker, len(where.path) - 1)


def _believes(event: Event) -> list[Told]:
    match event:
        case events.HandshakeCompleted():
            return [Told("", connection_believed(encrypted=True))]
        case events.Plaintext():
            return [Told("", connection_believed(encrypted=False))]
    return []


def _reads(event: Event, lines: Sequence[Told]) -> Sequence[Told]:
    if isinstance(event, events.Message):
        return lines
    if isinstance(event, events.Headers) and event.kind == "request":
        # What every client says of itself stands in the diagram.
        return [line for line in lines if line.mood != "quiet"]
    return ()
