"""The probe itself: every way tried on one server, between two controls."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import structs

from mitm import pki
from mitm.audit.finding import Finding, Report, Subject
from mitm.audit.servers.answer import Answer
from mitm.audit.servers.caller import Called, Request, call
from mitm.audit.servers.credentials import Credentials
from mitm.audit.servers.judge import NOUN, case_of, describe, judge, judge_control
from mitm.audit.servers.plan import NotExercised, Plan, Planner
from mitm.audit.servers.target import HEALTH, Target
from mitm.audit.servers.way import Way, load_way
from mitm.errors import UserError, user_error_in

# How many clients there are at once: enough to be quick, too few to be a burden.
JOBS = 8

# A path that nobody serves: who is let in learns just that.
_NOBODYS_METHOD = "/mitm_demo.Probe/Nobody"


async def run_probe(
    target: Target,
    given: Credentials,
    ways: Sequence[Way],
    *,
    jobs: int = JOBS,
    on_finding: Callable[[Finding], None] = lambda finding: None,
) -> Report:
    """Try every way on a server.

    If the good client does not get in at first, the probe ends there: that others are turned away
    would prove nothing.

    Args:
        target: the server, and the call.
        given: the good certificate, and what else is known.
        ways: to try.
        jobs: how many clients come at once.
        on_finding: called with each finding as it is made, in any order.

    Returns:
        The report, its findings in the order of the ways.

    Raises:
        UserError: the server is not reached, speaks no TLS, or is not the right one.
    """
    planner = Planner(target, given)
    first = await _first_control(target, planner)
    if first.answer.status in ("UNAUTHENTICATED", "PERMISSION_DENIED") and target.method == HEALTH:
        # Its health may be for others than this client.
        elsewhere = structs.replace(target, method=_NOBODYS_METHOD)
        again = Planner(elsewhere, given)
        second = await _first_control(elsewhere, again)
        if judge_control(second.answer).outcome == "pass":
            target, planner, first = elsewhere, again, second
    subject = Subject(str(target.address), noun=NOUN, title=f"{target.address} {target.method}")
    finding = judge_control(first.answer)
    on_finding(finding)
    if finding.outcome != "pass":
        return Report((finding,), (), subject, _doubts(first.answer, target))
    made = await _Probe(target, planner, first.answer, jobs, on_finding).try_all(ways)
    last = await _call(target, planner.control(verified=False))
    control = judge_control(last.answer, first.answer)
    on_finding(control)
    return Report((finding, control), tuple(made), subject)


class _Probe:
    """The ways, tried some at once."""

    def __init__(
        self,
        target: Target,
        planner: Planner,
        control: Answer,
        jobs: int,
        on_finding: Callable[[Finding], None],
    ) -> None:
        self._target = target
        self._planner = planner
        self._control = control
        self._room = asyncio.Semaphore(jobs)
        self._on_finding = on_finding
        self._found: dict[str, Finding] = {}

    async def try_all(self, ways: Sequence[Way]) -> list[Finding]:
        """Try them: what proves nothing unless another was turned away, after that other."""
        names = {way.name for way in ways}
        # What was left out decides all the same, and is told to nobody.
        decisive = {way.after for way in ways if way.after} - names
        unasked = [load_way(name) for name in sorted(decisive)]
        every = [*ways, *unasked]
        tried: set[str] = set()
        while len(tried) < len(every):
            ready = [
                way
                for way in every
                if way.name not in tried and (not way.after or way.after in tried)
            ]
            if not ready:
                raise UserError("after: these ways wait for each other")
            await self._try_at_once(ready, quiet={way.name for way in unasked})
            tried |= {way.name for way in ready}
        return [self._found[way.name] for way in ways]

    async def _try_at_once(self, ways: Sequence[Way], quiet: set[str]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._try(way)) for way in ways]
        except ExceptionGroup as errors:
            raise user_error_in(errors) or errors from None
        for way, task in zip(ways, tasks, strict=True):
            self._found[way.name] = task.result()
            if way.name not in quiet:
                self._on_finding(task.result())

    async def _try(self, way: Way) -> Finding:
        if reason := self._proves_nothing(way):
            return Finding(case_of(way), "not-exercised", reason, noun=NOUN)
        async with self._room:
            try:
                return await self._judged(way, self._planner.plan(way))
            except NotExercised as error:
                return Finding(case_of(way), "not-exercised", str(error), noun=NOUN)
            except pki.Unsupported as error:
                return Finding(case_of(way), "unsupported", str(error), noun=NOUN)
            except OSError as error:
                reason = f"the server was not reached: {error.strerror or 'no answer'}"
                return Finding(case_of(way), "inconclusive", reason, noun=NOUN)

    def _proves_nothing(self, way: Way) -> str:
        if not way.after:
            return ""
        other = self._found[way.after]
        if other.outcome == "pass":
            return ""
        if other.outcome == "vulnerable":
            return f"{way.after} got in already, so that this proves no more"
        return f"it proves something only where {way.after} is turned away: {other.reason}"

    async def _judged(self, way: Way, plan: Plan) -> Finding:
        request = plan.request
        if plan.before:
            before = await call(self._target.address, plan.before, self._target.seconds)
            if before.session is None or not _may_be_resumed(before):
                reason = f"there is no session to resume: {describe(before.answer)}"
                return Finding(case_of(way), "not-exercised", reason, noun=NOUN)
            request = request._replace(session=before.session)
        called = await call(self._target.address, request, self._target.seconds)
        finding = judge(way, called.answer, self._control)
        if finding.outcome == "vulnerable" and self._target.method == HEALTH:
            # Many a server lets everybody ask for that, and for nothing else.
            reason = f"{finding.reason}; if its health is for everybody, name another --method"
            return structs.replace(finding, reason=reason)
        return finding


def _may_be_resumed(called: Called) -> bool:
    session = called.session
    return session is not None and (session.has_ticket or bool(session.id))


async def _call(target: Target, request: Request) -> Called:
    try:
        return await call(target.address, request, target.seconds)
    except TimeoutError:
        raise UserError(f"{target.address}: no answer within {target.seconds:g} s") from None
    except OSError as error:
        raise UserError(f"{target.address}: not reached: {error.strerror or error}") from None


async def _first_control(target: Target, planner: Planner) -> Called:
    """The good client's call, once it is known whom it calls.

    Raises:
        UserError: the server is not reached, speaks no TLS, or is not the right one.
    """
    called = await _call(target, planner.control(verified=True))
    if called.verify_message:
        hint = "" if target.ca_pem else "; name the CA that signed it with --ca"
        raise UserError(
            f"{target.address}: the server's certificate does not verify for "
            f"{target.server_name}: {called.verify_message}{hint}"
        )
    if called.answer.reached == "handshake" and called.answer.local:
        plain = await _call(target, planner.control(verified=False)._replace(context=None))
        if plain.answer.reached == "call":
            raise UserError(
                f"{target.address} speaks no TLS, and answers in plaintext: nobody shows it a "
                "certificate, and everybody gets in"
            )
        raise UserError(f"{target.address}: no TLS handshake with it: {called.answer.local}")
    return called


def _doubts(answer: Answer, target: Target) -> tuple[str, ...]:
    """What to look at, where the good client does not get in."""
    if answer.reached == "call":
        return (
            f"Is this client allowed to call {target.method}? Name a method that it may call with "
            "--method, and what else the server wants with --metadata",
        )
    if answer.silent:
        return ("Does the server speak gRPC there? It took the connection, and did not answer",)
    if "not HTTP/2" in answer.how:
        return ("Does the server speak gRPC there? A probe calls by HTTP/2 alone",)
    return (
        "Does the server trust the CA that signed --client-cert, and has that not expired?",
        "Does the server know an intermediate CA of it? Put that behind the leaf in the file",
    )
