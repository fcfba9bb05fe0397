"""Scenarios: the script of each, read from its Markdown file."""

from pathlib import Path
from typing import Literal

import msgspec

from mitm import content, front_matter, pki
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.lab.policies import Policy
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.verdict import GenuineVerdict, InterceptedVerdict


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict that each leg must come to."""

    genuine: GenuineVerdict
    intercepted: InterceptedVerdict


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    order: int
    server: Literal["plaintext", "tls"]
    policy: Policy
    certificate: str
    expected: Expected
    point: str
    rewrite: list[str] = []


class Scenario(msgspec.Struct, frozen=True):
    """A server mode, a client policy, a certificate, and what must come of them.

    Attributes:
        point: the lesson in one sentence.
        rewrite: rules by which the attacker changes what passes, as of `proxy --rewrite`.
        lesson: the body of the file, as Markdown.
    """

    name: str
    title: str
    order: int
    server: Literal["plaintext", "tls"]
    policy: Policy
    certificate: pki.Recipe
    expected: Expected
    point: str
    lesson: str
    rewrite: tuple[str, ...] = ()

    @property
    def fix(self) -> str:
        """The lesson's section on how to mend the client, as Markdown."""
        return front_matter.section(self.lesson, "How to fix it")


def scenarios() -> dict[str, Path]:
    """The scenarios that come with the project, by name."""
    return content.markdown_files(content.SCENARIOS)


def load_scenario(name: str) -> Scenario:
    """Load a scenario.

    Args:
        name: of one that comes with the project, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed.
    """
    path = content.find("scenario", scenarios(), name)
    front, lesson = front_matter.load(path, _FrontMatter)
    try:
        recipe = pki.load_recipe(front.certificate)
    except UserError as error:
        raise UserError(f"{path}: certificate: {error}") from None
    try:
        Rules(front.rewrite, Schema(load_descriptor_set(content.PROTO / "users.binpb")))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return Scenario(
        name=path.stem,
        title=front.title,
        order=front.order,
        server=front.server,
        policy=front.policy,
        certificate=recipe,
        expected=front.expected,
        point=front.point,
        lesson=lesson,
        rewrite=tuple(front.rewrite),
    )
