"""Plays a scenario: the control leg straight to the server, then the leg under attack."""

import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from mitm import content, pki
from mitm.address import Address
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.events import Event, Leg, LegEnded, LegStarted, ScenarioStarted
from mitm.lab.clients import Client, run_client
from mitm.lab.scenario import Scenario
from mitm.lab.server import RunningServer, running_server
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.verdict import (
    ClientReport,
    LegResult,
    collect_evidence,
    judge_genuine,
    judge_intercepted,
)

# The name under test: the client dials it, the genuine certificate is valid for it.
NAME = "localhost"

# Seconds that connections have to end once the client has exited.
DRAIN_SECONDS = 2.0


class Played(msgspec.Struct, frozen=True):
    """A scenario that was played.

    Attributes:
        script: what was played.
        seen: every event of the leg under attack.
    """

    script: ScenarioStarted
    genuine: LegResult
    intercepted: LegResult
    seen: tuple[Event, ...]

    @classmethod
    def recorded(
        cls,
        script: ScenarioStarted,
        genuine: LegEnded,
        intercepted: LegEnded,
        seen: Sequence[Event],
    ) -> Self:
        """The outcome that these events tell of.

        Raises:
            msgspec.ValidationError: they do not hold what a leg's result is made of.
        """
        attack = msgspec.structs.replace(_result(intercepted), evidence=collect_evidence(seen))
        return cls(script, _result(genuine), attack, tuple(seen))

    @property
    def control_held(self) -> bool:
        """Whether the control did what the scenario says; if not, nothing is proved."""
        return self.genuine.verdict == self.script.expected.get("genuine")

    @property
    def matched(self) -> bool:
        """Whether both legs came to the verdict that the scenario says."""
        attacked = self.intercepted.verdict == self.script.expected.get("intercepted")
        return self.control_held and attacked


class Lab(msgspec.Struct, frozen=True):
    """What one playing is made of; all of it is thrown away afterwards.

    Attributes:
        directory: private, with the PEM files that server and client are given.
        chain: the forged chain.
        token: the credential that the client sends.
    """

    directory: Path
    server: RunningServer
    chain: pki.Chain
    token: str
    schema: Schema

    @classmethod
    @asynccontextmanager
    async def prepared(cls, scenario: Scenario) -> AsyncIterator[Self]:
        """Make certificates and start the server.

        Raises:
            UserError: the certificate cannot be made, or the server does not come up.
        """
        authorities = pki.Authorities([NAME, "127.0.0.1", "::1"])
        now = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix="mitm-demo-") as name:
            directory = Path(name)
            pki.write_lab(directory, authorities, overwrite=False)
            try:
                chain = pki.forge(scenario.certificate, NAME, authorities, now)
                pki.ssl_context(chain)
            except pki.Unsupported as error:
                raise UserError(f"{scenario.certificate.name}: {error}") from None
            tls = scenario.server == "tls"
            cert = directory / "server.pem" if tls else None
            key = directory / "server.key" if tls else None
            schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
            token = f"demo-{secrets.token_hex(16)}"
            async with running_server(cert, key) as server:
                yield cls(directory, server, chain, token, schema)


async def play(
    scenario: Scenario,
    client: Client,
    *,
    timeout: float,
    on_event: Callable[[Event], None],
    tap: Tap | None = None,
) -> Played:
    """Play both legs of a scenario, for real, and judge them.

    Args:
        scenario: which one.
        client: the client program.
        timeout: seconds that the client is given for each leg.
        on_event: called with each event as it happens.
        tap: is shown what passes on the sockets of the interceptor.

    Raises:
        UserError: the client does not know the scenario's policy, or client or server cannot be
            started.
    """
    client.must_know(scenario.policy)
    script = _script(scenario, client)
    on_event(script)
    async with Lab.prepared(scenario) as lab:
        target = Address(NAME, lab.server.address.port)
        on_event(_started(scenario, "genuine", target))
        report = await _run(scenario, client, lab, target, timeout)
        genuine = judge_genuine(report, lab.server.take_calls())
        on_event(_ended(scenario, "genuine", genuine))

        seen: list[Event] = []

        def see(event: Event) -> None:
            seen.append(event)
            on_event(event)

        async with Interceptor(
            listen=Address("127.0.0.1", 0),
            upstream=lab.server.address,
            choose=lambda _: lab.chain,
            schema=lab.schema,
            rules=Rules(scenario.rewrite, lab.schema),
            on_event=see,
            tap=tap,
        ) as interceptor:
            target = Address(NAME, interceptor.address.port)
            on_event(_started(scenario, "intercepted", target))
            report = await _run(scenario, client, lab, target, timeout)
            await interceptor.drain(DRAIN_SECONDS)
        intercepted = judge_intercepted(seen, report, lab.server.take_calls())
        on_event(_ended(scenario, "intercepted", intercepted))
    return Played(script, genuine, intercepted, tuple(seen))


async def _run(
    scenario: Scenario, client: Client, lab: Lab, target: Address, timeout: float
) -> ClientReport:
    arguments = ["--target", str(target), "--policy", scenario.policy, "--token", lab.token]
    trust_store = None
    match scenario.policy:
        case "ca-file":
            arguments += ["--ca", str(lab.directory / "ca.pem")]
        case "pinned":
            arguments += ["--pin", str(lab.directory / "server.pem")]
        case "system-roots":
            trust_store = lab.directory / "ca.pem"
    return await run_client(client, arguments, trust_store=trust_store, timeout=timeout)


def _script(scenario: Scenario, client: Client) -> ScenarioStarted:
    return ScenarioStarted(
        time=time.time(),
        scenario=scenario.name,
        title=scenario.title,
        client=client.name,
        client_title=client.title,
        policy=scenario.policy,
        certificate=scenario.certificate.name,
        server=scenario.server,
        expected={
            "genuine": scenario.expected.genuine,
            "intercepted": scenario.expected.intercepted,
        },
        point=scenario.point,
        fix=scenario.fix,
        rewrite=scenario.rewrite,
    )


def _started(scenario: Scenario, leg: Leg, target: Address) -> LegStarted:
    return LegStarted(time=time.time(), scenario=scenario.name, leg=leg, target=str(target))


def _ended(scenario: Scenario, leg: Leg, result: LegResult) -> LegEnded:
    return LegEnded(
        time=time.time(),
        scenario=scenario.name,
        leg=leg,
        verdict=result.verdict,
        reason=result.reason,
        client=msgspec.to_builtins(result.client),
        server_calls=tuple(map(msgspec.to_builtins, result.server_calls)),
    )


def _result(ended: LegEnded) -> LegResult:
    """The result that a leg's end tells of, but for the evidence."""
    told = {"verdict": ended.verdict, "reason": ended.reason, "client": ended.client}
    return msgspec.convert(told | {"server_calls": ended.server_calls}, LegResult)
