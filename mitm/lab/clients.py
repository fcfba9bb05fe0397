"""Client programs: found in their folders, and what their manifests say of them."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError
from mitm.lab.policies import POLICIES, Policy
from mitm.surroundings import without_proxies

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")

# Where a client's program stands once it is built; filled in by `builds.built`.
BUILD = "{build}"


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that must be installed for a client.

    Attributes:
        program: on PATH, or what else `ask` asks for.
        version: the least that will do, `1.24`; "" for any.
        ask: a command that tells the version, and fails if there is none.
        install: how one comes by it.
    """

    program: str
    version: str = ""
    ask: tuple[str, ...] = ()
    install: str = ""

    def __post_init__(self) -> None:
        if self.version and not self.ask:
            raise ValueError("version: it is known by 'ask', a command that tells it")
        if self.version and not re.fullmatch(r"\d+(\.\d+)*", self.version):
            raise ValueError(f"version: {self.version!r} is not numbers with dots between them")

    @property
    def told(self) -> str:
        """What is needed, in words."""
        return f"{self.program} {self.version}".strip()


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    command: list[str]
    policies: list[Policy]
    requires: list[str | Requirement] = []
    build: list[list[str]] = []
    version: list[str] = []
    batch: bool = False


class Client(msgspec.Struct, frozen=True):
    """A client program, as its folder's README describes it.

    Attributes:
        folder: where it is.
        command: how it is started, placeholders filled in; `{build}` not before it is built.
        policies: those that it knows, of the contract's.
        requires: what must be installed for it.
        build: the commands that build it, in order, with their placeholders; none for what is run
            as it is.
        version: a command that tells its library and runtime; none if it cannot.
        batch: whether one process of it answers many requests.
        built: the folder that it is built in; "" before it is, or if there is nothing to build.
    """

    name: str
    title: str
    folder: Path
    command: tuple[str, ...]
    policies: tuple[str, ...]
    requires: tuple[Requirement, ...] = ()
    build: tuple[tuple[str, ...], ...] = ()
    version: tuple[str, ...] = ()
    batch: bool = False
    built: str = ""

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


def clients(*more: Path) -> dict[str, Path]:
    """The clients that there are: the folders that hold a README, by name.

    Args:
        more: folders of such folders, besides the project's own. What stands there goes by its name
            even if the project has one of that name.
    """
    return {
        readme.parent.name: readme.parent
        for place in (content.CLIENTS, *more)
        for readme in sorted(place.resolve().glob("*/README.md"))
    }


def all_clients(*more: Path) -> list[Client]:
    """Load all clients that there are.

    Args:
        more: as for `clients`.

    Raises:
        UserError: a README is not well-formed.
    """
    return [load_client(str(folder)) for folder in clients(*more).values()]


def load_client(name: str, *more: Path) -> Client:
    """Load a client.

    Args:
        name: of one that comes with the project, or the path of one's own folder.
        more: as for `clients`.

    Raises:
        UserError: there is none, its README is not well-formed, or a command has a placeholder
            that is none.
    """
    # By the name that it was found by, wherever a link leads to.
    folder = Path(os.path.abspath(content.find("client", clients(*more), name)))  # noqa: PTH100
    readme = folder / "README.md"
    front, _ = front_matter.load(readme, _FrontMatter)
    known = places(folder)

    def fill(key: str, words: Sequence[str]) -> tuple[str, ...]:
        for placeholder in _PLACEHOLDER.findall(" ".join(words)):
            if placeholder not in known:
                raise UserError(
                    f"{readme}: {key}: unknown placeholder {placeholder}; known: "
                    f"{', '.join(known)}; what to dial and whom to trust is added behind the "
                    "command"
                )
            if placeholder == BUILD and not front.build:
                raise UserError(f"{readme}: {key}: {BUILD} is there only with the key 'build'")
        return filled(words, known)

    if not front.command or not all(front.build):
        raise UserError(f"{readme}: {'build' if front.command else 'command'}: it has no words")
    for words in front.build:
        fill("build", words)
    requires = [
        Requirement(each)
        if isinstance(each, str)
        else msgspec.structs.replace(each, ask=fill("requires", each.ask))
        for each in front.requires
    ]
    return Client(
        name=folder.name,
        title=front.title,
        folder=folder,
        command=fill("command", front.command),
        policies=tuple(front.policies),
        requires=tuple(requires),
        build=tuple(map(tuple, front.build)),
        version=fill("version", front.version),
        batch=front.batch,
    )


def places(folder: Path, build: str = BUILD) -> dict[str, str]:
    """What the placeholders of a manifest stand for.

    Args:
        folder: of the client.
        build: where it is built, if that is known.
    """
    return {
        "{python}": sys.executable,
        "{folder}": str(folder),
        "{proto}": str(content.PROTO),
        BUILD: build,
    }


def filled(words: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """A command with its placeholders filled in, those that are known here."""
    return tuple(
        _PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), word) for word in words
    )


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a client, by the contract: the way to the messages, and straight on.

    Args:
        environment: that of the caller, and what a policy makes of it.
    """
    return without_proxies(environment) | {"MITM_PROTO": str(content.PROTO)}
