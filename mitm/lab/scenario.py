"""Scenarios: the script of each, read from its Markdown file."""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec

from mitm import content, front_matter
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.events import Leg as LegKind
from mitm.events import Member, ScriptedLeg
from mitm.lab import cast
from mitm.lab.cast import (
    AcmeServerRole,
    AuthorityRole,
    ClientRole,
    IngressRole,
    InterceptorRole,
    Role,
    ServerRole,
)
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.pki.authority import AuthorityName
from mitm.verdict import GENUINE_VERDICTS, INTERCEPTED_VERDICTS, Verdict


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One playing of a client, along a path through the cast.

    Attributes:
        path: names of members, from a client to a server, over whatever stands between. An attacker
            at its end answers in the server's place.
        expected: the verdict that it must come to.
        renewed: a server that gets its next certificate before this leg, while it runs and a call
            is open; "" for none. It is for the same key, but by ACME for a new one.
    """

    path: tuple[str, ...]
    expected: Verdict
    renewed: str = ""


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    order: int
    cast: list[Role]
    legs: list[Leg]
    point: str
    fix: str = ""


class Scenario(msgspec.Struct, frozen=True):
    """A cast, the legs that are played with it, and what must come of them.

    Attributes:
        order: its place among the scenarios.
        point: the lesson in one sentence.
        fix: what to change, in one line; "" if that is not said.
        lesson: the body of the file, as Markdown.
    """

    name: str
    title: str
    order: int
    cast: tuple[Role, ...]
    legs: tuple[Leg, ...]
    point: str
    fix: str
    lesson: str

    @property
    def how_to_fix(self) -> str:
        """The lesson's section on how to mend the client, as Markdown."""
        return front_matter.section(self.lesson, "How to fix it")

    @property
    def policies(self) -> tuple[str, ...]:
        """Those of its clients, each once, in the order of the cast."""
        return tuple(dict.fromkeys(r.policy for r in self.cast if isinstance(r, ClientRole)))

    def lacking(self, known: Collection[str]) -> tuple[str, ...]:
        """The policies for want of which a client can play no part in it; none if it can play one.

        Args:
            known: the policies that it knows.
        """
        parts = [role.lacking(known) for role in self.cast if isinstance(role, ClientRole)]
        return () if "" in parts else tuple(dict.fromkeys(parts))

    def role(self, name: str) -> Role:
        """A member of the cast."""
        return next(role for role in self.cast if role.name == name)

    def client(self, leg: Leg) -> ClientRole:
        """Who is played in a leg."""
        role = self.role(leg.path[0])
        assert isinstance(role, ClientRole)
        return role

    def attacker(self, leg: Leg) -> InterceptorRole | None:
        """Who stands in the way in a leg, if anybody does."""
        roles = map(self.role, leg.path)
        return next((role for role in roles if isinstance(role, InterceptorRole)), None)

    def ingress(self, leg: Leg) -> IngressRole | None:
        """What ends the client's TLS in front of whoever comes next, if anything does."""
        roles = map(self.role, leg.path)
        return next((role for role in roles if isinstance(role, IngressRole)), None)

    def meant(self, client: ClientRole) -> str:
        """The server that a client means to reach: that of its control."""
        controls = (leg for leg in self.legs if leg.path[0] == client.name)
        return next(leg.path[-1] for leg in controls)

    def kind(self, leg: Leg) -> LegKind:
        """Whether a leg goes through an attacker's hands."""
        return "intercepted" if self.attacker(leg) else "genuine"

    def members(self, client: str) -> tuple[Member, ...]:
        """The cast as it is told.

        Args:
            client: what the client program is written in, and with what.
        """
        return tuple(
            Member(
                role.name,
                str(role.__struct_config__.tag),
                f"{client}, {role.told}" if isinstance(role, ClientRole) else role.told,
            )
            for role in self.cast
        )

    def script(self) -> tuple[ScriptedLeg, ...]:
        """The legs as they are told."""
        return tuple(
            ScriptedLeg(
                leg.path, self.kind(leg), self.client(leg).policy, leg.expected, leg.renewed
            )
            for leg in self.legs
        )


def scenarios() -> dict[str, Path]:
    """The scenarios that come with the project, by name."""
    return content.markdown_files(content.SCENARIOS)


@cache
def in_order() -> tuple[Scenario, ...]:
    """All that come with the project, in the order of the lessons."""
    return tuple(sorted(map(load_scenario, scenarios()), key=lambda scenario: scenario.order))


def load_scenario(name: str) -> Scenario:
    """Load a scenario.

    Args:
        name: of one that comes with the project, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed.
    """
    path = content.find("scenario", scenarios(), name)
    front, lesson = front_matter.load(path, _FrontMatter)
    loaded = Scenario(
        name=path.stem,
        title=front.title,
        order=front.order,
        cast=tuple(front.cast),
        legs=tuple(front.legs),
        point=front.point,
        fix=front.fix,
        lesson=lesson,
    )
    for mistake in _mistakes(loaded):
        raise UserError(f"{path}: {mistake}")
    return loaded


def _mistakes(scenario: Scenario) -> Iterator[str]:
    """What is wrong with a scenario beyond the form of its file, with the key that says so."""
    roles = {role.name: role for role in scenario.cast}
    if len(roles) < len(scenario.cast):
        yield "cast: two members have the same name"
    if not scenario.legs:
        yield "legs: there is none"
    schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
    for number, role in enumerate(scenario.cast):
        try:
            cast.check(role)
            Rules(role.rewrite if isinstance(role, InterceptorRole) else (), schema)
        except UserError as error:
            yield f"cast[{number}].{error}"
        if isinstance(role, ServerRole) and role.issued_by:
            if not isinstance(roles.get(role.issued_by), AcmeServerRole):
                yield f"cast[{number}].issued_by: {role.issued_by!r} is no ACME server of the cast"
            if role.mode == "plaintext" or role.certificate != "genuine":
                yield f"cast[{number}].issued_by: it goes with TLS, and with no other certificate"
        if isinstance(role, ClientRole):
            for name in role.store:
                public = isinstance(roles.get(name), AcmeServerRole)
                if not public and name not in get_args(AuthorityName):
                    yield f"cast[{number}].store: {name!r} is no CA of the run"
        if isinstance(role, InterceptorRole):
            for victim in role.steals:
                if not isinstance(roles.get(victim), ClientRole | ServerRole):
                    yield f"cast[{number}].steals: {victim!r} is no client or server of the cast"
            if role.client_certificate and any(
                isinstance(roles.get(victim), ClientRole) for victim in role.steals
            ):
                yield (
                    f"cast[{number}].client_certificate: an interceptor presents either one that "
                    "it has made or one that it has stolen from a client"
                )
            issuer = roles.get(role.issued_by)
            if role.issued_by and not isinstance(issuer, AuthorityRole | AcmeServerRole):
                yield f"cast[{number}].issued_by: {role.issued_by!r} is no CA of the cast"
            if role.hijacks_dns != isinstance(issuer, AcmeServerRole):
                yield (
                    f"cast[{number}].hijacks_dns: that, and nothing else, is how an attacker "
                    "obtains a certificate of an ACME server"
                )
            stolen = any(isinstance(roles.get(victim), ServerRole) for victim in role.steals)
            if [bool(role.certificate), bool(role.issued_by), stolen].count(True) != 1:
                yield (
                    f"cast[{number}].certificate: an interceptor presents either a certificate of "
                    "its own, or one that it was issued, or one that it has stolen from a server"
                )
    controls = set()
    for number, leg in enumerate(scenario.legs):
        if mistake := _wrong_path([roles.get(name) for name in leg.path]):
            unknown = [name for name in leg.path if name not in roles]
            yield f"legs[{number}].path: " + (
                f"{unknown[0]!r} is no member of the cast" if unknown else mistake
            )
            return
        match roles.get(leg.renewed):
            case ServerRole(mode="tls"):
                pass
            case _ if leg.renewed:
                yield f"legs[{number}].renewed: {leg.renewed!r} is no server of the cast with TLS"
        kind = scenario.kind(leg)
        verdicts = GENUINE_VERDICTS if kind == "genuine" else INTERCEPTED_VERDICTS
        if leg.expected not in verdicts:
            yield f"legs[{number}].expected: {leg.expected!r} is none of {', '.join(verdicts)}"
        if kind == "genuine":
            controls.add(leg.path[0])
        elif leg.path[0] not in controls:
            yield (
                f"legs[{number}].path: {leg.path[0]!r} is attacked without a control: play it "
                "without the attacker before"
            )


def _wrong_path(path: Sequence[Role | None]) -> str:
    """What is wrong with a path; "" for nothing."""
    between = path[1:-1]
    attackers = sum(isinstance(role, InterceptorRole) for role in path)
    if (
        len(path) < 2
        or None in path
        or not isinstance(path[0], ClientRole)
        or not isinstance(path[-1], ServerRole | InterceptorRole)
        or not all(isinstance(role, IngressRole | InterceptorRole) for role in between)
    ):
        return "it leads from a client to a server or an attacker, over ingresses and one attacker"
    if attackers > 1 or len(between) - attackers > 1:
        return "there is one attacker and one ingress in it at the most"
    return ""
