"""Servers of several stacks that insist on a client certificate: they are told in one line."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mitm import events, pki
from mitm.address import Address
from mitm.audit.upstream import own_server
from mitm.errors import UserError
from tests import go
from tests.programs import running
from tests.proxy.stage import PREFACE, SETTINGS, VERSIONS, Props, a_stage, client_context, run

PROGRAMS = Path(__file__).parent / "insisting"

NONE = "the server asks for a client certificate: add --client-cert FILE and --client-key FILE"
REFUSED = "the server refused the client certificate: "

# By which alert, in words; Node just closes the connection.
UNKNOWN_CA = {"go": "unknown_ca (48)", "java": "certificate_unknown (46)"}
EXPIRED = {"go": "certificate_expired (45)", "java": "certificate_unknown (46)"}


class Insisting(NamedTuple):
    """A server, and what may be presented to it."""

    stack: str
    address: Address
    ca: Path
    identities: dict[str, pki.Chain]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is needed")
    return found


def _go(folder: Path) -> list[str | Path]:
    built = folder / "built"
    built.mkdir()
    return [go.build((PROGRAMS / "server.go").read_text(), built)]


COMMANDS: dict[str, Callable[[Path], list[str | Path]]] = {
    "go": _go,
    "node": lambda folder: [_tool("node"), PROGRAMS / "server.js"],
    "java": lambda folder: [_tool("java"), "-XX:TieredStopAtLevel=1", PROGRAMS / "Server.java"],
}


@pytest.fixture(
    scope="module", params=[(stack, version) for stack in COMMANDS for version in VERSIONS], ids=str
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Insisting]:
    stack, version = request.param
    folder = tmp_path_factory.mktemp(stack)
    authorities = pki.Authorities(["localhost", "127.0.0.1", "client.example"])
    chain = pki.forge(pki.load_recipe("genuine"), "127.0.0.1", authorities)
    (folder / "server.pem").write_bytes(chain.pem)
    pki.write_private(folder / "server.key", chain.key_pem)
    (folder / "ca.pem").write_bytes(authorities.lab.pem)
    identities = {
        recipe: pki.forge(pki.load_recipe(recipe), "client.example", authorities, purpose="client")
        for recipe in ("genuine", "attacker-ca", "expired")
    }
    with running(*COMMANDS[stack](folder), folder, version) as process:
        assert process.stdout
        address = Address("127.0.0.1", int(process.stdout.readline()))
        yield Insisting(stack, address, folder / "ca.pem", identities)


@pytest.mark.parametrize("recipe", [None, "attacker-ca", "expired", "genuine"], ids=str)
def test_who_insists_says_so_in_one_line(
    props: Props, server: Insisting, recipe: str | None
) -> None:
    identity = server.identities[recipe] if recipe else None
    alerts = UNKNOWN_CA if recipe == "attacker-ca" else EXPIRED
    alert = f"alert {alerts[server.stack]}" if server.stack in alerts else "no alert"
    said = f"{REFUSED}{alert}" if identity else NONE

    async def main() -> None:
        async with a_stage(
            props, upstream=server.address, client_certificate=identity, goes_on_alone=False
        ) as stage:
            client = await stage.dial()
            shaking = client.handshake(client_context(alpn=("h2",)), name="localhost")
            if recipe == "genuine":
                await shaking
                await client.send(PREFACE + SETTINGS)
                assert (await client.read())[3:4] == SETTINGS[3:4]
                assert not stage.seen.all(events.ClientCertificateRefused)
            else:
                with pytest.raises((EOFError, ConnectionResetError)):
                    await shaking
                await stage.seen.closed()
                assert stage.seen.one(events.UpstreamFailed).reason == said
        # An audit asks beforehand.
        asking = own_server(server.address, server.ca, None, identity)
        if recipe == "genuine":
            assert (await asking).client_certificate is identity
        else:
            with pytest.raises(UserError) as refusal:
                await asking
            assert str(refusal.value) == f"--upstream {server.address}: {said}"
        # What the event loop has begun to close.
        await asyncio.sleep(0)

    run(main())
