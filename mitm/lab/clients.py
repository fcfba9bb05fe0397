"""Client programs: found in their folders, started and understood by one contract."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mitm import content, front_matter
from mitm.errors import UserError
from mitm.programs import started
from mitm.verdict import ClientReport

# The variables by which TLS libraries are told of another "system" trust store: OpenSSL and Go,
# gRPC's C core, Node.
TRUST_STORE_VARIABLES = (
    "SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
)

# Seconds beyond its own --timeout after which a client counts as hung.
HANG_SECONDS = 2.0


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    command: list[str]
    policies: list[str]
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

    def must_know(self, policy: str) -> None:
        """Insist on a policy.

        Raises:
            UserError: this client does not know it.
        """
        if policy not in self.policies:
            known = ", ".join(self.policies)
            raise UserError(f"client {self.name!r} does not know policy {policy!r}, but: {known}")


def clients() -> dict[str, Path]:
    """The clients that come with the project: the folders that hold a README, by name."""
    return {path.parent.name: path.parent for path in sorted(content.CLIENTS.glob("*/README.md"))}


def load_client(name: str) -> Client:
    """Load a client.

    Args:
        name: of one that comes with the project, or the path of one's own folder.

    Raises:
        UserError: there is none, or its README is not well-formed.
    """
    folder = content.find("client", clients(), name).resolve()
    front, _ = front_matter.load(folder / "README.md", _FrontMatter)
    fill = {"{python}": sys.executable, "{folder}": str(folder)}
    command = []
    for word in front.command:
        for placeholder, value in fill.items():
            word = word.replace(placeholder, value)
        command.append(word)
    return Client(
        folder.name, front.title, tuple(command), tuple(front.policies), tuple(front.requires)
    )


async def run_client(
    client: Client, arguments: Sequence[str], *, trust_store: Path | None, timeout: float
) -> ClientReport:
    """Play one leg's client, to its end or to the time limit.

    Args:
        client: which one.
        arguments: by the contract of client/README.md.
        trust_store: a private "system" trust store, a PEM file; None leaves the library's own.
        timeout: seconds that the client is given.

    Raises:
        UserError: it cannot be started.
    """
    environment = {k: v for k, v in os.environ.items() if k not in TRUST_STORE_VARIABLES}
    if trust_store:
        environment |= dict.fromkeys(TRUST_STORE_VARIABLES, str(trust_store))
    command = [*client.command, *arguments, "--timeout", f"{timeout:g}"]
    async with started(command, environment) as program:
        try:
            async with asyncio.timeout(timeout + HANG_SECONDS):
                exit_code = await program.wait()
        except TimeoutError:
            return ClientReport(None, None, f"the client hung and was ended after {timeout:g} s")
        return _understand(exit_code, program.stdout.take(), program.stderr.take())


def _understand(exit_code: int, output: bytes, errors: bytes) -> ClientReport:
    last_words = errors.decode(errors="replace").strip().splitlines()[-1:]
    said = f": {last_words[0][:200]}" if last_words else ""
    if exit_code < 0:
        return ClientReport(exit_code, None, f"the client was ended by signal {-exit_code}{said}")
    if exit_code not in (0, 1):
        return ClientReport(exit_code, None, f"the client exited with {exit_code}{said}")
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    wanted = "user" if exit_code == 0 else "error"
    if not isinstance(answer, dict) or not isinstance(answer.get(wanted), dict):
        shown = output[:60].decode(errors="replace")
        problem = f"the client exited with {exit_code} but printed no {wanted!r} object: {shown!r}"
        return ClientReport(exit_code, None, problem + said)
    return ClientReport(exit_code, answer)
