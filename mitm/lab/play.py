"""Plays a scenario: the control leg straight to the server, then the leg under attack."""

import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import msgspec

from mitm import content, pki
from mitm.address import LOCALHOST, Address
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.events import Event, Leg, LegEnded, LegStarted, ScenarioStarted
from mitm.evidence import ClientRun, Observer
from mitm.lab.client_run import must_be_supported, run_client
from mitm.lab.clients import Client
from mitm.lab.policies import Trust
from mitm.lab.scenario import Scenario
from mitm.lab.server import RunningServer, running_server
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.verdict import LegResult, judge_genuine, judge_intercepted

# Seconds that connections have to end once the client has exited.
DRAIN_SECONDS = 2.0


class Played(msgspec.Struct, frozen=True):
    """A scenario that was played.

    Attributes:
        script: what was played.
    """

    script: ScenarioStarted
    genuine: LegResult
    intercepted: LegResult

    @classmethod
    def recorded(
        cls,
        script: ScenarioStarted,
        genuine: LegEnded,
        intercepted: LegEnded,
        observer: Observer,
    ) -> Self:
        """What was played, by the events that tell of it.

        Args:
            script, genuine, intercepted: as they were told.
            observer: has seen what came between.

        Raises:
            msgspec.ValidationError: they do not hold what a leg's result is made of.
        """
        attack = _result(intercepted)
        evidence = observer.observation(attack.client).evidence
        return cls(script, _result(genuine), msgspec.structs.replace(attack, evidence=evidence))

    @property
    def control_held(self) -> bool:
        """Whether the control did what the scenario says; if not, nothing is proved."""
        return self.genuine.verdict == self.script.expected.get("genuine")

    @property
    def matched(self) -> bool:
        """Whether both legs came to the verdict that the scenario says."""
        attacked = self.intercepted.verdict == self.script.expected.get("intercepted")
        return self.control_held and attacked


class Lab:
    """Server and certificates of one playing, thrown away afterwards.

    Attributes:
        server: the victim.
        schema: what its messages are made of.
        authorities: the run's own.
    """

    def __init__(
        self, directory: Path, server: RunningServer, authorities: pki.Authorities
    ) -> None:
        self.server = server
        self.schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
        self.authorities = authorities
        self._directory = directory
        self._token = f"demo-{secrets.token_hex(16)}"

    @classmethod
    @asynccontextmanager
    async def prepared(cls, *, tls: bool) -> AsyncIterator[Self]:
        """Make certificates and start the server.

        Args:
            tls: whether the server speaks it.

        Raises:
            UserError: the server does not come up.
        """
        authorities = pki.Authorities([LOCALHOST, "127.0.0.1", "::1"])
        with tempfile.TemporaryDirectory(prefix="mitm-demo-") as name:
            directory = Path(name)
            pki.write_lab(directory, authorities, overwrite=False)
            cert, key = (directory / file if tls else None for file in ("server.pem", "server.key"))
            async with running_server(cert, key) as server:
                yield cls(directory, server, authorities)

    def present(self, recipe: pki.Recipe) -> pki.Presentation:
        """Make what the client is to be shown.

        Raises:
            UserError: the certificate cannot be presented here.
        """
        try:
            return pki.present(recipe, LOCALHOST, self.authorities)
        except pki.Unsupported as error:
            raise UserError(f"{recipe.name}: {error}") from None

    async def play_genuine(self, scenario: Scenario, client: Client, timeout: float) -> LegResult:
        """Let the client dial the server itself, and judge how it went.

        Raises:
            UserError: the client cannot be started.
        """
        target = Address(LOCALHOST, self.server.address.port)
        ca_pem = self.authorities.lab.pem
        run = await self._run(scenario, client, target, ca_pem, timeout)
        return judge_genuine(run.shortened(), self.server.take_calls())

    async def play_intercepted(
        self,
        scenario: Scenario,
        client: Client,
        presented: pki.Presentation,
        timeout: float,
        *,
        on_start: Callable[[Address], None] = lambda target: None,
        on_event: Callable[[Event], None] = lambda event: None,
        tap: Tap | None = None,
    ) -> LegResult:
        """Let the client dial an interceptor that presents a certificate, and judge what it did.

        Raises:
            UserError: the client cannot be started.
        """
        observer = Observer()

        def see(event: Event) -> None:
            observer(event)
            on_event(event)

        chain = presented.chain
        async with Interceptor(
            listen=Address(chain.host, 0),
            upstream=self.server.address,
            choose=lambda _: presented,
            schema=self.schema,
            rules=Rules(scenario.rewrite, self.schema),
            on_event=see,
            tap=tap,
        ) as interceptor:
            target = Address(chain.host, interceptor.address.port)
            on_start(target)
            run = await self._run(scenario, client, target, chain.anchor_pem, timeout)
            await interceptor.drain(DRAIN_SECONDS)
            observation = observer.observation(run)
            run = run.without_secrets(observation.secrets).shortened()
        return judge_intercepted(observation, run, self.server.take_calls())

    async def _run(
        self, scenario: Scenario, client: Client, target: Address, ca_pem: bytes, timeout: float
    ) -> ClientRun:
        ca = self._directory / "trusted.pem"
        pki.write_private(ca, ca_pem)
        trust = Trust(ca, self._directory / "server.pem")
        more = {"token": self._token}
        return await run_client(client, scenario.policy, target, trust, timeout=timeout, more=more)


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
        UserError: the client does not know the scenario's policy, the certificate cannot be
            presented, or client or server cannot be started.
        PolicyUnsupported: the client says that its stack cannot do what the policy says.
    """
    client.must_know(scenario.policy)
    script = _script(scenario, client)
    on_event(script)
    async with Lab.prepared(tls=scenario.server == "tls") as lab:
        presented = lab.present(scenario.certificate)
        target = Address(LOCALHOST, lab.server.address.port)
        on_event(_started(scenario, "genuine", target))
        genuine = await lab.play_genuine(scenario, client, timeout)
        on_event(_ended(scenario, "genuine", genuine))
        must_be_supported(client, scenario.policy, genuine.client)
        intercepted = await lab.play_intercepted(
            scenario,
            client,
            presented,
            timeout,
            on_start=lambda target: on_event(_started(scenario, "intercepted", target)),
            on_event=on_event,
            tap=tap,
        )
        on_event(_ended(scenario, "intercepted", intercepted))
    return Played(script, genuine, intercepted)


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
