"""Attacks: what happens over the connections of a client, in steps; the files in certs/attacks/."""

import functools
from typing import Annotated, Literal

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError
from mitm.pki import Fault, load_recipe
from mitm.pki.recipe import Family, Severity, place
from mitm.proxy.treatment import Handshake, Then

# In a step, it stands for each of the attack's forgeries in turn.
FORGED = "forged"

# The recipe of which the client has nothing to fear.
GENUINE = "genuine"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done with the next connections.

    Attributes:
        present: the recipe that is shown, or `forged`; "" where there is no handshake.
        connections: how many; None for all the rest.
        calls: how often the client is called before the next step, where it is a function; its
            connections are closed then.
        handshake, then: see `mitm.proxy.Treatment`.
    """

    present: str = ""
    connections: Annotated[int, msgspec.Meta(ge=1)] | None = None
    calls: Annotated[int, msgspec.Meta(ge=1)] | None = None
    handshake: Handshake = "complete"
    then: Then = ""

    def __post_init__(self) -> None:
        if bool(self.present) != (self.handshake == "complete"):
            raise ValueError("present: a step shows a certificate, or has no handshake")
        if self.connections and self.calls:
            raise ValueError("calls: a step lasts for connections or for calls, not for both")
        if self.then and not self.present:
            raise ValueError("then: without a handshake there is nothing to interrupt")

    @property
    def lasts(self) -> bool:
        """Whether no other step comes after it."""
        return self.connections is None and self.calls is None


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    family: Literal["sequence", "configuration"] = "sequence"
    severity: Severity = "must"
    rule: str = ""
    fix: str = ""
    cwe: tuple[int, ...] = ()
    forgeries: tuple[str, ...] = ()
    plays: tuple[tuple[Step, ...], ...] = ()
    each_position: bool = False
    resume: bool = False
    ca: Fault | None = None

    def __post_init__(self) -> None:
        if [bool(self.plays), self.each_position, self.ca is not None].count(True) != 1:
            raise ValueError("plays: give them, or each_position, or ca")
        for number, play in enumerate(self.plays):
            if [step.lasts for step in play] != [False] * (len(play) - 1) + [True]:
                raise ValueError(f"plays[{number}]: each step but the last has an end")
            if all(step.present == GENUINE for step in play):
                raise ValueError(f"plays[{number}]: it attacks nothing")
        forges = self.each_position or bool(self.ca) or FORGED in _presented(self.plays)
        if bool(self.forgeries) != forges:
            raise ValueError("forgeries: name them where `forged` is presented, and only there")


class Attack(msgspec.Struct, frozen=True):
    """An attack in steps.

    Attributes:
        name: of its file.
        family: the section of the catalogue that it stands in.
        severity: how far it binds a client to come out of it unharmed; see `pki.Recipe`.
        rule, fix, cwe, lesson: as of a recipe.
        forgeries: recipes; with each of them in the place of `forged`, all is played once.
        plays: the steps of each.
        each_position: plays are made from what the control has shown: of the connections that the
            client makes, each is shown each forgery, and the others the genuine certificate; then
            each with all that come after it.
        resume: sessions may be resumed, by the keys of the genuine server.
        ca: what is wrong with the files that tell the client whom to trust; None for nothing.
    """

    name: str
    title: str
    family: Family
    severity: Severity
    rule: str
    fix: str
    cwe: tuple[int, ...]
    forgeries: tuple[str, ...]
    plays: tuple[tuple[Step, ...], ...]
    each_position: bool
    resume: bool
    ca: Fault | None
    lesson: str

    @property
    def expect(self) -> Literal["accept", "reject"]:
        """What a correct client does."""
        return "reject"

    @property
    def certificates(self) -> frozenset[str]:
        """The recipes that it is played with, beside the genuine one."""
        return frozenset({*self.forgeries, *_presented(self.plays)} - {FORGED, ""})

    @property
    def place(self) -> tuple[int, int, int, str]:
        """What it is sorted by where it is listed, as recipes are."""
        return place(self.family, self.severity, self.expect, self.name)


def _presented(plays: tuple[tuple[Step, ...], ...]) -> set[str]:
    return {step.present for play in plays for step in play}


def load_attack(name: str) -> Attack:
    """Load an attack.

    Args:
        name: of one in certs/attacks/, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed; file, key and reason are named.
    """
    path = content.find("attack", content.markdown_files(content.ATTACKS), name)
    front, lesson = front_matter.load(path, _FrontMatter)
    fields = msgspec.structs.asdict(front)
    if front.ca:
        # Whatever is shown is shown on every connection.
        fields["plays"] = ((Step(FORGED),),)
    attack = Attack(name=path.stem, lesson=lesson, **fields)
    known = content.markdown_files(content.CERTS)
    for certificate in sorted(attack.certificates - known.keys()):
        raise UserError(f"{path}: no certificate of the catalogue is called {certificate!r}")
    for certificate in sorted(_forged(attack)):
        if _is_sound(certificate):
            raise UserError(
                f"{path}: {certificate!r} is no forgery: a correct client accepts it, so nothing "
                "is wrong with one that does; see mitm-demo list certs for what it must reject"
            )
    return attack


# What the files then hold is the right CA all the same, so that the genuine certificate is good.
_RIGHT_CA: tuple[Fault | None, ...] = (None, "crlf", "der")


def _forged(attack: Attack) -> frozenset[str]:
    """The recipes that a client must not accept where this attack shows them."""
    if attack.ca not in _RIGHT_CA:
        # For a client without its CA, the genuine certificate is as good as a forged one.
        return frozenset()
    shown = _presented(attack.plays) - {GENUINE}
    return frozenset({*attack.forgeries, *shown} - {FORGED, ""})


@functools.cache
def _is_sound(certificate: str) -> bool:
    return load_recipe(certificate).expect == "accept"
