"""The audit itself: every certificate tried on one client, between two controls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import structs

from mitm import pki
from mitm.audit.case import Case, Suite
from mitm.audit.command import Command
from mitm.audit.finding import Finding, Report, Subject, judge_offer, of_plays, with_crashes
from mitm.audit.function import Function
from mitm.audit.listener import Endpoint, Listener, Upstream
from mitm.audit.play import Play, plays_of
from mitm.audit.setting import USUAL, Setting
from mitm.audit.slots import Slots
from mitm.audit.stack import stack_said
from mitm.errors import user_error_in
from mitm.evidence import ClientRun, Observation
from mitm.proxy import StandIn
from mitm.proxy.tap import Tap

_STARTS_ANEW = (
    "a program may start anew for each call, so that nothing is proved of what it keeps in its "
    "memory from one to the next; a function can be tried"
)
_ROOT_SENT = "once the CA was sent behind it, and so throughout; the leaf alone was refused"
_FAILED_AT_FIRST = "its first call, with the genuine certificate, did not come to its end"

# How often a play is begun again in which a client that tries two addresses at once was faster at
# the other one.
RACES = 3

_BY_PROXY = (
    "The name is known to the proxy alone, which its environment names (https_proxy and its like): "
    "a stack that takes no proxy, such as tonic, is audited without --mode connect"
)

# Runs the client under test once, until it ends or has done enough to be judged.
RunClient = Callable[[Endpoint, asyncio.Event], Awaitable[ClientRun]]


@asynccontextmanager
async def stand_in(status: int = 0, page: str = "") -> AsyncIterator[Upstream]:
    """A server that answers any call, while the block lasts.

    Args:
        status: the gRPC status of each answer.
        page: a text for browsers; "" for none.
    """
    async with StandIn(status, page) as server:
        yield Upstream(server.address, tls=False)


async def try_case(
    case: Case,
    client: RunClient,
    upstream: Upstream,
    pin_pem: bytes,
    tap: Tap | None = None,
    control: Observation | None = None,
    *,
    positions_covered: bool = False,
    setting: Setting = USUAL,
    slots: Slots | None = None,
) -> Finding:
    """Try one certificate, or one attack, on a client; what it offers, it has shown in the control.

    Args:
        case: which.
        client: runs it once.
        upstream: the server behind the certificate.
        pin_pem: the genuine leaf.
        tap: is shown what passes on the sockets of the interceptor.
        control: what the client did with the genuine certificate; None if that is tried first.
        positions_covered: whether another case attacks each of its connections by itself.
        setting: how the client comes to it.
        slots: room for its runs; None for as many as there are.

    Raises:
        UserError: the client cannot be started.
    """
    if case.unsupported:
        return Finding(case, "unsupported", case.unsupported)
    if case.not_exercised:
        return Finding(case, "not-exercised", case.not_exercised)
    if case.offer and control:
        return judge_offer(case, case.offer, control)
    room = slots or Slots(1)

    async def run(play: Play) -> Finding:
        if play.calls_before and not isinstance(client, Function):
            return Finding(case, "not-exercised", _STARTS_ANEW)
        async with room.taken() as give_way:
            return await meet(play, give_way)

    async def meet(play: Play, give_way: Callable[[], None]) -> Finding:
        listening = Listener(
            case,
            upstream,
            pin_pem,
            tap,
            control,
            play,
            positions_covered=positions_covered,
            setting=setting,
            on_refused=give_way,
        )
        async with listening as listener:
            for _ in range(play.calls_before):
                if not await listener.called(await client(listener.endpoint, listener.enough)):
                    return Finding(case, "not-exercised", _FAILED_AT_FIRST)
            ended = await client(listener.endpoint, listener.enough)
            if play.calls_before and not listener.attacked:
                # A channel that it has kept may have learned only now that its connection is gone.
                ended = await client(listener.endpoint, listener.enough)
            return await listener.judge(ended)

    try:
        if case.attack is None:
            return await run(plays_of(case)[0])
        findings: list[tuple[Play, Finding]] = []
        idle: set[int] = set()
        for play in plays_of(case, control):
            # Another forgery would not bring about the connection that did not come.
            if play.group not in idle:
                finding = await run(play)
                for _ in range(RACES):
                    if not _was_raced(finding):
                        break
                    finding = await run(play.at_both_addresses())
                findings.append((play, finding))
                if finding.outcome == "vulnerable":
                    break
                if finding.outcome == "not-exercised":
                    idle.add(play.group)
        return with_untried(of_plays(case, findings))
    except pki.Unsupported as error:
        return Finding(case, "unsupported", str(error))


def _was_raced(finding: Finding) -> bool:
    """Whether it was left open by which address of a host was the faster one."""
    seen = finding.observation
    return finding.outcome in ("not-exercised", "inconclusive") and bool(seen and seen.raced)


def with_untried(finding: Finding) -> Finding:
    """The same, with a word on what would have had to be planted for it."""
    case = finding.case
    fault = case.attack and case.attack.ca
    if not fault or finding.outcome != "pass" or any(c.system_pem for c in case.chains.values()):
        return finding
    reason = f"{finding.reason}; no CA of the machine's was tried"
    return structs.replace(finding, reason=reason)


async def run_audit(
    suite: Suite,
    client: RunClient,
    upstream: Upstream,
    *,
    subject: Subject,
    jobs: int = 1,
    on_finding: Callable[[Finding], None] = lambda finding: None,
    tap: Tap | None = None,
    setting: Setting = USUAL,
    waiting: int = 0,
    slots: Slots | None = None,
) -> Report:
    """Try every certificate of a suite on a client.

    If the client does not get through in the first control, the audit ends there: whatever it did
    next would prove nothing.

    Args:
        suite: control and cases.
        client: runs the client once against an endpoint.
        subject: who that is; its stack, as far as that is known before it has made a call.
        upstream: the server behind the certificates.
        jobs: how many certificates are tried at once.
        on_finding: called with each finding as it is made, in any order.
        tap: is shown what passes on the sockets of the interceptors.
        setting: how the client comes to each, and whom its machine trusts.
        waiting: how many more runs there may be of a client that has been refused and tries again.
        slots: room that is shared with other audits, in place of what `jobs` and `waiting` say.

    Returns:
        The report, its findings in the order of the suite whatever ran first.

    Raises:
        UserError: the client cannot be started.
    """
    slots = slots or Slots(jobs, waiting)

    async def attempt(case: Case, control: Observation | None = None) -> Finding:
        finding = await try_case(
            case,
            client,
            upstream,
            suite.pin_pem,
            tap,
            control,
            positions_covered=suite.attacks_each_position,
            setting=setting,
            slots=slots,
        )
        on_finding(finding)
        return finding

    first = await attempt(suite.control)
    if first.outcome == "too-strict":
        # Some look for the CA, or for the roots themselves, in what is sent.
        with_root = suite.with_root_sent()
        second = await attempt(with_root.control)
        if second.outcome == "pass":
            suite = with_root
            first = structs.replace(second, reason=f"{second.reason}, {_ROOT_SENT}")
    scope = suite.scope(setting.roots, setting.mode)
    subject = structs.replace(subject, stack=stack_said(first.observation, subject.stack))
    if first.outcome != "pass":
        reached = first.evidence is not None and bool(first.evidence.connections)
        doubts = client.doubts(reached=reached) if isinstance(client, Command) else ()
        if setting.mode == "connect" and not reached:
            doubts = (_BY_PROXY, *doubts)
        return Report((first,), (), subject, doubts, scope=scope)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(case, first.observation)) for case in suite.cases]
    except ExceptionGroup as errors:
        raise user_error_in(errors) or errors from None
    # A service that goes on after its call need not be waited for again.
    last = await attempt(suite.control, first.observation)
    findings = with_crashes((task.result() for task in tasks), (first.crash, last.crash))
    return Report((first, last), tuple(findings), subject, scope=scope)
