"""Plays a scenario: its legs in their order, each for real, and each judged."""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

import msgspec

from mitm.address import LOCALHOST, Address
from mitm.events import (
    Event,
    LegEnded,
    LegLeftOut,
    LegStarted,
    ScenarioStarted,
    ScriptedLeg,
)
from mitm.evidence import ClientRun, Observer
from mitm.lab import acme
from mitm.lab.cast import AcmeServerRole, ClientRole, InterceptorRole
from mitm.lab.client_run import PolicyUnsupported, must_be_supported, run_client
from mitm.lab.clients import Client
from mitm.lab.scenario import Leg, Scenario, in_order
from mitm.lab.stage import Stage
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from mitm.proxy.tap import Tap
from mitm.verdict import LegResult, ServerCall, judge_genuine, judge_intercepted

# Seconds that connections have to end once the client has exited.
DRAIN_SECONDS = 2.0


class PlayedLeg(msgspec.Struct, frozen=True):
    """A leg of a scenario, and what came of it.

    Attributes:
        script: as the scenario has it.
        result: its verdict; None if it was not played.
        left_out: why it was not; "" if it was.
    """

    script: ScriptedLeg
    result: LegResult | None
    left_out: str = ""

    @property
    def matched(self) -> bool:
        """Whether it came to the verdict that the scenario says."""
        return self.result is not None and self.result.verdict == self.script.expected


class Played(msgspec.Struct, frozen=True):
    """A scenario that was played.

    Attributes:
        script: what was played.
        legs: its legs, in their order.
    """

    script: ScenarioStarted
    legs: tuple[PlayedLeg, ...]

    @classmethod
    def recorded(
        cls,
        script: ScenarioStarted,
        ends: Mapping[int, LegEnded | LegLeftOut],
        observers: Mapping[int, Observer],
    ) -> Self:
        """What was played, by the events that tell of it.

        Args:
            script: the first of them.
            ends: how each leg ended, by its number.
            observers: of each leg, by its number: has seen what came in it.

        Raises:
            msgspec.ValidationError: they do not hold what a leg's result is made of.
        """
        legs = []
        for number, leg in enumerate(script.legs):
            match ends.get(number):
                case LegEnded() as ended:
                    result = _result(ended)
                    if leg.leg == "intercepted" and number in observers:
                        seen = observers[number].observation(result.client)
                        result = msgspec.structs.replace(result, evidence=seen.evidence)
                    legs.append(PlayedLeg(leg, result))
                case LegLeftOut(reason=reason):
                    legs.append(PlayedLeg(leg, None, reason))
                case None:
                    legs.append(PlayedLeg(leg, None, "it was not recorded"))
        return cls(script, tuple(legs))

    def control_held(self, number: int) -> bool:
        """Whether the client of a leg did in its control what the scenario says.

        If it did not, nothing is proved by what it did under attack.

        Args:
            number: of the leg, from 0.
        """
        client = self.legs[number].script.path[0]
        controls = [
            leg
            for leg in self.legs[:number]
            if leg.script.leg == "genuine" and leg.script.path[0] == client
        ]
        return bool(controls) and controls[-1].matched

    @property
    def matched(self) -> bool:
        """Whether all that could be played came to the verdict that the scenario says."""
        played = [leg for leg in self.legs if leg.result]
        return bool(played) and all(leg.matched for leg in played)


async def play(
    scenario: Scenario,
    client: Client,
    *,
    timeout: float,
    on_event: Callable[[Event], None],
    tap: Tap | None = None,
) -> Played:
    """Play the legs of a scenario, for real, and judge them.

    A leg is left out if the client does not know its policy, or says in its control that its stack
    cannot do it.

    Args:
        scenario: which one.
        client: the client program.
        timeout: seconds that the client is given for each leg.
        on_event: called with each event as it happens.
        tap: is shown what passes on the sockets of the interceptor.

    Raises:
        UserError: the client knows none of the scenario's policies, a certificate cannot be
            made or presented, or client or server cannot be started.
        NotPlayed: a program that takes part is not installed.
        PolicyUnsupported: the client's stack can do nothing of what the scenario takes.
    """
    for policy in scenario.lacking(client.policies):
        client.must_know(policy)
    if any(isinstance(role, AcmeServerRole) for role in scenario.cast):
        acme.must_be_here()
    script = _script(scenario, client)
    on_event(script)
    playing = Playing(scenario, client, timeout, on_event, tap)
    async with Stage.prepared(scenario.cast, on_event) as stage:
        for attacker in scenario.cast:
            if isinstance(attacker, InterceptorRole):
                # What cannot be presented here is told before anything is played.
                stage.presented(attacker)
        legs = [
            PlayedLeg(told, *await playing.leg(stage, number, leg))
            for number, (leg, told) in enumerate(zip(scenario.legs, script.legs, strict=True))
        ]
    if not any(leg.result for leg in legs) and playing.unsupported:
        raise next(iter(playing.unsupported.values()))
    return Played(script, tuple(legs))


class _Came(NamedTuple):
    """What came of a leg."""

    result: LegResult | None
    left_out: str = ""


class Playing:
    """Plays one leg after the other, and tells of each.

    Attributes:
        unsupported: why a member of the cast cannot be played, by its name.
    """

    def __init__(
        self,
        scenario: Scenario,
        client: Client,
        timeout: float,
        on_event: Callable[[Event], None],
        tap: Tap | None = None,
    ) -> None:
        self.unsupported: dict[str, PolicyUnsupported] = {}
        self._scenario = scenario
        self._client = client
        self._timeout = timeout
        self._tell = on_event
        self._tap = tap

    async def leg(self, stage: Stage, number: int, leg: Leg) -> _Came:
        """Play a leg, unless the client cannot."""
        lost = 0
        if leg.renewed:
            renewed = await stage.renew(leg.renewed)
            self._tell(renewed)
            lost = renewed.calls_lost
        role = self._scenario.client(leg)
        if lacking := role.lacking(self._client.policies):
            reason = f"the client {self._client.name} does not know the policy {lacking}"
            return self._left_out(number, reason)
        if role.name in self.unsupported:
            return self._left_out(number, str(self.unsupported[role.name]))
        if attacker := self._scenario.attacker(leg):
            result = await self._intercepted(stage, number, leg, attacker)
        else:
            result = await self._genuine(stage, number, leg)
            try:
                must_be_supported(self._client, role.policy, result.client)
            except PolicyUnsupported as error:
                self.unsupported[role.name] = error
                return self._left_out(number, str(error))
        if lost:
            reason = f"the renewal has broken a call that was open: {leg.renewed}"
            result = msgspec.structs.replace(result, verdict="failed", reason=reason)
        self._tell(
            LegEnded(
                time=time.time(),
                scenario=self._scenario.name,
                number=number,
                leg=self._scenario.kind(leg),
                verdict=result.verdict,
                reason=result.reason,
                client=msgspec.to_builtins(result.client),
                server_calls=tuple(map(msgspec.to_builtins, result.server_calls)),
            )
        )
        return _Came(result)

    def _left_out(self, number: int, reason: str) -> _Came:
        name = self._scenario.name
        self._tell(LegLeftOut(time=time.time(), scenario=name, number=number, reason=reason))
        return _Came(None, reason)

    async def _genuine(self, stage: Stage, number: int, leg: Leg) -> LegResult:
        """Let the client go its way undisturbed, and judge how it went."""
        server = stage.servers[leg.path[-1]]
        role = self._scenario.client(leg)
        async with AsyncExitStack() as running:
            ingress = self._scenario.ingress(leg)
            address = await stage.in_front(ingress, server.address, running)
            target = Address(LOCALHOST, address.port)
            self._started(number, leg, target)
            if shown := stage.shown_by(leg.path[1]):
                self._tell(shown)
            ca_pem = stage.authorities.lab.pem
            run = await self._run(stage, role, target, ca_pem)
        return judge_genuine(run.shortened(), server.take_calls())

    async def _intercepted(
        self, stage: Stage, number: int, leg: Leg, attacker: InterceptorRole
    ) -> LegResult:
        """Let the client run into an attacker, and judge what it did."""
        role = self._scenario.client(leg)
        server = stage.servers.get(leg.path[-1])
        presented = stage.presented(attacker)
        chain = presented.chain
        observer = Observer()

        def see(event: Event) -> None:
            observer(event)
            self._tell(event)

        ingress = self._scenario.ingress(leg)
        # Then it is the ingress that the attacker dials, as the client would.
        behind = leg.path.index(attacker.name) < (leg.path.index(ingress.name) if ingress else 0)
        async with AsyncExitStack() as running:
            upstream = server.address if server else None
            if behind and upstream:
                upstream = await stage.in_front(ingress, upstream, running)
            interceptor = Interceptor(
                listen=Address(chain.host, 0),
                upstream=upstream,
                choose=lambda _: presented,
                schema=stage.schema,
                rules=Rules(attacker.rewrite, stage.schema),
                on_event=see,
                tap=self._tap,
                impersonate=server is None,
                client_certificate=stage.held_of_client(attacker),
                # With a server, the client is asked as that asks.
                ask_client=True if server is None else None,
            )
            await running.enter_async_context(interceptor)
            address = interceptor.address
            if not behind:
                address = await stage.in_front(ingress, address, running)
            target = Address(chain.host, address.port)
            self._started(number, leg, target)
            run = await self._run(stage, role, target, chain.anchor_pem)
            await interceptor.drain(DRAIN_SECONDS)
            observation = observer.observation(run)
            run = run.without_secrets(observation.secrets).shortened()
        calls: tuple[ServerCall, ...] = server.take_calls() if server else ()
        return judge_intercepted(observation, run, calls, direct=not behind)

    def _started(self, number: int, leg: Leg, target: Address) -> None:
        self._tell(
            LegStarted(
                time=time.time(),
                scenario=self._scenario.name,
                number=number,
                leg=self._scenario.kind(leg),
                path=leg.path,
                target=str(target),
            )
        )

    async def _run(
        self, stage: Stage, role: ClientRole, target: Address, ca_pem: bytes
    ) -> ClientRun:
        more = {"token": stage.token}
        if role.server_name:
            more["server-name"] = role.server_name
        store = stage.store(role)
        return await run_client(
            self._client,
            role.policy,
            target,
            stage.trust(role, self._scenario.meant(role), ca_pem),
            timeout=self._timeout,
            more=more,
            planted=lambda env: store.planted(env, over_own=False) if store else env,
        )


def _script(scenario: Scenario, client: Client) -> ScenarioStarted:
    return ScenarioStarted(
        time=time.time(),
        scenario=scenario.name,
        title=scenario.title,
        client=client.name,
        client_title=client.title,
        cast=scenario.members(client.title),
        legs=scenario.script(),
        point=scenario.point,
        fix=scenario.fix,
        how_to_fix=scenario.how_to_fix,
        next=_next(scenario),
    )


def _next(scenario: Scenario) -> str:
    """The scenario that comes after one in the order of the lessons; "" for none."""
    others = in_order()
    if scenario.name not in [other.name for other in others]:
        return ""
    return next((other.name for other in others if other.order > scenario.order), "")


def _result(ended: LegEnded) -> LegResult:
    """The result that a leg's end tells of, but for the evidence."""
    told = {"verdict": ended.verdict, "reason": ended.reason, "client": ended.client}
    return msgspec.convert(told | {"server_calls": ended.server_calls}, LegResult)
