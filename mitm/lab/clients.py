"""Client programs: found in their folders, started and understood by one contract."""

import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from mitm import content, front_matter
from mitm.address import Address
from mitm.errors import UserError
from mitm.evidence import ClientRun
from mitm.lab.policies import POLICIES, Policy, Trust, arguments, environment
from mitm.masking import shortened
from mitm.programs import Ended, run, secrets_of
from mitm.surroundings import without_proxies

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")

# Seconds beyond its own --timeout after which a client counts as hung.
HANG_SECONDS = 2.0

# Characters of an output that is not what it should be: enough to tell what it is instead.
_PRINTED = 60

# Levels of an answer, as deep as Protobuf's own parsers go. What is deeper can be read, but not
# written again by whoever is deep in calls already.
_DEEPEST = 100


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


async def run_client(
    client: Client,
    policy: Policy,
    target: Address,
    trust: Trust,
    *,
    timeout: float,
    more: Sequence[str] = (),
    enough: asyncio.Event | None = None,
    planted: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda environment: environment,
) -> ClientRun:
    """Run a client once, to its end or to the time limit.

    Args:
        client: which one.
        policy: how it is to decide whom to trust.
        target: what it is to dial.
        trust: what it is given for that.
        timeout: seconds that it is given; a client that goes on is ended a little later.
        more: further options of client/README.md.
        enough: when this is set, it need not go on.
        planted: what else is to stand in its environment.

    Raises:
        UserError: it cannot be started.
    """
    command = [*client.command, "--target", str(target), *arguments(policy, trust), *more]
    command += ["--timeout", f"{timeout:g}"]
    surrounded = planted(surroundings(environment(policy, trust)))
    ended = await run(command, surrounded, timeout + HANG_SECONDS, enough)
    return _understand(ended, timeout).without_secrets(secrets_of(command, surrounded))


def _understand(ended: Ended, seconds: float) -> ClientRun:
    """What a client has said, by the contract."""
    answer = _answer(ended.stdout)
    client = msgspec.structs.replace(ClientRun.of_program(ended, seconds), answer=answer)
    if ended.code is None or ended.crash:
        return client
    problem = ""
    if ended.code < 0:
        problem = f"the client was {ended.said}"
    elif ended.code not in (0, 1):
        problem = f"the client exited with {ended.said.removeprefix('exit code ')}"
    else:
        wanted = "user" if ended.code == 0 else "error"
        if not isinstance((answer or {}).get(wanted), dict):
            shown = shortened(ended.stdout.decode(errors="replace"), _PRINTED)
            problem = f"the client printed no {wanted!r} object: {shown!r} ({ended.said})"
    return msgspec.structs.replace(client, problem=problem)


def _answer(stdout: bytes) -> dict[str, object] | None:
    """The object that a client has printed; None if it is none that can be printed again.

    Python's own parser takes NaN and half a surrogate pair, which are no JSON (RFC 8259).
    """
    try:
        answer = msgspec.json.decode(stdout, type=dict[str, object])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return answer if _is_shallow(answer, _DEEPEST) else None


def _is_shallow(value: object, levels: int) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_shallow(part, levels - 1) for part in parts)
    return True
