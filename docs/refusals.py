"""Records what clients say when a server refuses their certificate: docs/refusals.json.

    python -m docs.refusals

Every client of the lab that is built, curl, and Python's and the JDK's own TLS call servers that
insist on a client certificate: one on gRPC's C core, and those of Go, Node, the JDK and Python.
They present none, one of an authority that the server does not know, and one that has expired. Of
each text it is recorded who has said it, to which server, over which version of TLS. Two controls
are recorded with them: a server that asks for nothing and closes every connection (what is said of
that tells nothing of certificates), and what servers say when it is the client that refuses *their*
certificate: their words are often the same. In TLS 1.3 a client that is still writing when it is
refused may hear of a closed connection, and not of the alert before that; so what earlier runs have
heard is kept. `python -m docs.errors` takes it from there.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from docs.stacks import STACKS_OF_CLIENTS
from mitm import content, pki
from mitm.address import Address
from mitm.errors import UserError
from mitm.explain.dictionary import said
from mitm.lab import builds
from mitm.lab.client_run import run_client
from mitm.lab.clients import Client, all_clients
from mitm.lab.policies import Trust
from mitm.lab.server import running_server
from mitm.masking import as_json
from mitm.programs import Program, started

PAGE = Path(__file__).with_name("refusals.json")

PLAIN = Path(__file__).with_name("plain")
INSISTING = content.ROOT / "tests" / "proxy" / "insisting"
VERSIONS = ("TLSv1.2", "TLSv1.3")
PRESENTED = (None, "attacker-ca", "expired")

# Who calls: not the names that the servers have.
_CLIENT = "client.example"
_SECONDS = 3.0

By = Literal["client", "server"]


class Said(msgspec.Struct, frozen=True, order=True):
    """One text.

    Attributes:
        stack: of who says it.
        by: the side that says it; a server says it of a client that refuses its certificate.
        server: to which one, or in which one's log; `closing` is the control.
        tls: the version.
        refused: whose certificate was refused, "" for nobody's.
        presented: the recipe of that certificate, "" for none.
        text: what is said.
    """

    stack: str
    by: By
    server: str
    tls: str
    refused: Literal["client", "server", ""]
    presented: str
    text: str


class _Files(NamedTuple):
    """What the servers read, and what the clients present."""

    recipe: str
    folder: Path
    ca: Path
    identities: dict[str | None, tuple[Path, Path] | None]


def _files(folder: Path, server: str) -> _Files:
    folder.mkdir()
    authorities = pki.Authorities(["localhost", "127.0.0.1", _CLIENT])
    chain = pki.forge(pki.load_recipe(server), "localhost", authorities)
    (folder / "server.pem").write_bytes(chain.pem)
    pki.write_private(folder / "server.key", chain.key_pem)
    (folder / "ca.pem").write_bytes(authorities.lab.pem)
    identities: dict[str | None, tuple[Path, Path] | None] = {None: None}
    for recipe in ("genuine", *filter(None, PRESENTED)):
        own = pki.forge(pki.load_recipe(recipe), _CLIENT, authorities, purpose="client")
        cert, key = folder / f"{recipe}.pem", folder / f"{recipe}.key"
        cert.write_bytes(own.pem)
        pki.write_private(key, own.key_pem)
        identities[recipe] = (cert, key)
    return _Files(server, folder, folder / "ca.pem", identities)


def _commands(folder: Path) -> dict[str, list[str]]:
    """The servers that are there, and how each is started."""
    found = {"python": [sys.executable, str(INSISTING / "server.py")]}
    if shutil.which("go"):
        built = folder / "server"
        subprocess.run(
            ["go", "build", "-o", built, INSISTING / "server.go"],
            check=True,
            env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"},
        )
        found["go"] = [str(built)]
    if shutil.which("node"):
        found["node"] = ["node", str(INSISTING / "server.js")]
    if shutil.which("java"):
        found["java"] = ["java", "-XX:TieredStopAtLevel=1", str(INSISTING / "Server.java")]
    return found


@contextlib.asynccontextmanager
async def _serving(command: Sequence[str]) -> AsyncIterator[tuple[Address, Program]]:
    async with started(command, os.environ) as program:
        async with asyncio.timeout(30):
            port = int(await program.stdout.first_line())
        yield Address("localhost", port), program


async def _say(
    clients: Sequence[Client],
    files: _Files,
    address: Address,
    server: str,
    tls: str,
    *,
    insisting: bool = True,
) -> list[Said]:
    """What each client says to a server of what it presents."""
    found = []
    for presented in PRESENTED if insisting else ("genuine",):
        cert, key = files.identities[presented] or (None, None)
        whose: Literal["client", ""] = "client" if insisting else ""
        for client in clients:
            trust = Trust(files.ca, files.folder / "server.pem", cert, key)
            run = await run_client(client, "ca-file", address, trust, timeout=_SECONDS)
            error = (run.answer or {}).get("error")
            text = str(error["message"]) if isinstance(error, dict) else ""
            print(server, tls, presented, client.name, text[:150], file=sys.stderr)
            if text:
                stack = STACKS_OF_CLIENTS[client.name]
                found.append(Said(stack, "client", server, tls, whose, presented or "", text))
        for stack, command in _plain(files.ca, address, cert, key).items():
            if text := await _printed(command):
                found.append(Said(stack, "client", server, tls, whose, presented or "", text))
    return found


def _plain(ca: Path, address: Address, cert: Path | None, key: Path | None) -> dict[str, list[str]]:
    """Clients that speak no gRPC, in whose words people meet it as well: how each is started."""
    own = [str(cert), str(key)] if cert and key else []
    options = ["--cert", own[0], "--key", own[1]] if own else []
    common = [str(address.port), str(ca), *own]
    curl = ["curl", "-sS", "--noproxy", "*", "--max-time", "5", "--cacert", str(ca), *options]
    found = {
        "curl": [*curl, f"https://{address}"],
        "python": [sys.executable, str(PLAIN / "client.py"), *common],
        "java": ["java", "-XX:TieredStopAtLevel=1", str(PLAIN / "Client.java"), *common],
    }
    return {stack: command for stack, command in found.items() if shutil.which(command[0])}


async def _printed(command: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, words = await process.communicate()
    return words.decode(errors="replace").strip()


async def _played(
    clients: Sequence[Client], files: _Files, command: Sequence[str], server: str, tls: str
) -> list[Said]:
    """What is said on both sides, by the clients and in the log of the server."""
    async with _serving([*command, str(files.folder), tls]) as (address, program):
        is_sound = files.recipe == "genuine"
        found = await _say(clients, files, address, server, tls, insisting=is_sound)
        # Its last word may come after the client has gone.
        await asyncio.sleep(0.5)
        lines = program.stderr.take().decode(errors="replace").splitlines()
    # What clients say of a certificate that they refuse is in the catalogue already.
    kept = found if is_sound else []
    whose: Literal["client", "server"] = "client" if is_sound else "server"
    presented = "" if is_sound else files.recipe
    return kept + [
        Said(server, "server", server, tls, whose, presented, line) for line in lines if line
    ]


async def recorded() -> list[Said]:
    """Play all of it."""
    clients = []
    for each in all_clients():
        try:
            clients.append(await builds.ready(each, build=False))
        except UserError as error:
            print(error, file=sys.stderr)
    found: list[Said] = []
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as made:
        good, bad = Path(made, "good"), Path(made, "bad")
        files, others = _files(good, "genuine"), _files(bad, "attacker-ca")
        cert, key = files.folder / "server.pem", files.folder / "server.key"
        async with running_server(cert, key, client_ca=files.ca) as server:
            address = Address("localhost", server.address.port)
            found += await _say(clients, files, address, "grpcio", "TLSv1.3")
        commands = _commands(Path(made))
        for tls in VERSIONS:
            closing = [*commands["python"], str(files.folder), tls, "closing"]
            async with _serving(closing) as (address, _):
                found += await _say(clients, files, address, "closing", tls, insisting=False)
            for name, command in commands.items():
                for each in (files, others):
                    found += await _played(clients, each, command, name, tls)
    return found


def apart(said_of: Sequence[Said]) -> list[Said]:
    """What differs by more than ports and times."""
    alike = {(*msgspec.structs.astuple(each)[:-1], said(each.text)): each for each in said_of}
    return sorted(alike.values())


def main() -> int:
    before = msgspec.json.decode(PAGE.read_bytes(), type=list[Said]) if PAGE.exists() else []
    found = apart([*asyncio.run(recorded()), *before])
    PAGE.write_text(as_json([msgspec.to_builtins(each) for each in found], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
