"""Client programs: found in their folders, and how they are started."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError
from mitm.lab.policies import POLICIES, Policy
from mitm.surroundings import without_proxies

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    command: list[str]
    policies: list[Policy]
    requires: list[str] = []


class Client(msgspec.Struct, frozen=True):
    """A client program, as its folder's README describes it.

    Attributes:
        command: how it is started, placeholders filled in.
        requires: programs that must be installed for it.
    """

    name: str
    title: str
    command: tuple[str, ...]
    policies: tuple[str, ...]
    requires: tuple[str, ...]

    def must_know(self, policy: str) -> Policy:
        """Insist on a policy, and give it back.

        Raises:
            UserError: this client does not know it.
        """
        known = {each: each for each in POLICIES if each in self.policies}
        if policy not in known:
            raise UserError(
                f"client {self.name!r} does not know policy {policy!r}, but: {', '.join(known)}"
            )
        return known[policy]


def clients() -> dict[str, Path]:
    """The clients that come with the project: the folders that hold a README, by name."""
    return {path.parent.name: path.parent for path in sorted(content.CLIENTS.glob("*/README.md"))}


def load_client(name: str) -> Client:
    """Load a client.

    Args:
        name: of one that comes with the project, or the path of one's own folder.

    Raises:
        UserError: there is none, its README is not well-formed, or its command has a placeholder
            that is none.
    """
    folder = content.find("client", clients(), name).resolve()
    front, _ = front_matter.load(folder / "README.md", _FrontMatter)
    fill = {"{python}": sys.executable, "{folder}": str(folder)}
    for placeholder in _PLACEHOLDER.findall(" ".join(front.command)):
        if placeholder not in fill:
            raise UserError(
                f"{folder / 'README.md'}: command: unknown placeholder {placeholder}; known: "
                f"{', '.join(fill)}; what to dial and whom to trust is added behind the command"
            )
    command = [_PLACEHOLDER.sub(lambda found: fill[found[0]], word) for word in front.command]
    return Client(
        folder.name, front.title, tuple(command), tuple(front.policies), tuple(front.requires)
    )


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a client, by the contract: the way to the messages, and straight on.

    Args:
        environment: that of the caller, and what a policy makes of it.
    """
    return without_proxies(environment) | {"MITM_PROTO": str(content.PROTO)}
