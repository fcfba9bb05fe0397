"""A session around a command: somebody's test suite, which is run once."""

import asyncio
import os
from collections.abc import Callable, Sequence

from msgspec import structs

from mitm.audit.case import Suite
from mitm.audit.finding import Finding, Report, Subject
from mitm.audit.listener import Upstream
from mitm.audit.session.index import Index
from mitm.audit.session.presented import Session
from mitm.programs import fault_of, run_openly
from mitm.proxy.tap import Tap
from mitm.surroundings import straight

# Where the command finds the index.
VARIABLE = "MITM_SESSION"

INTERRUPTED = "it was interrupted"

_CUT_SHORT = "The command has ended by itself before it came to the last case: was it cut short?"


async def run_session(
    suite: Suite,
    command: Sequence[str],
    upstream: Upstream,
    *,
    subject: Subject,
    fails: Callable[[Finding], bool] = Finding.fails,
    tap: Tap | None = None,
    time_limit: float | None = None,
    stdout: int = 1,
) -> Report:
    """Present all cases of a suite while a command runs, and report what came of them.

    Args:
        suite: control and cases.
        command: program and arguments; it finds the address of the index in `MITM_SESSION`.
        upstream: the server behind the cases.
        subject: who is audited.
        fails: whether a finding fails the audit.
        tap: is shown what passes on the sockets.
        time_limit: seconds that the command is given; None for as long as it takes.
        stdout: the descriptor that it writes its standard output to.

    Raises:
        UserError: the command cannot be started.
    """
    session = Session(suite, upstream, tap=tap, fails=fails)
    chains = [case.dialled for case in (suite.control, *suite.cases) if case.chain or case.chains]
    hosts = {host for chain in chains for host in (chain.host, chain.server_name)}
    async with Index(session) as index:
        environment = straight(os.environ, *sorted(hosts)) | {VARIABLE: index.url}
        # While it is built and started, there is time to present all that it will ask for.
        running = asyncio.create_task(run_openly(command, environment, time_limit, stdout=stdout))
        try:
            async with session:
                problem, crash = await _ended(running, time_limit)
                report = await session.report(subject, problem, crash)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    doubts = _doubts(report, problem, asked=index.asked)
    return structs.replace(report, problem=problem, doubts=doubts)


async def _ended(running: asyncio.Task[int | None], time_limit: float | None) -> tuple[str, str]:
    """Wait for the command.

    Returns:
        Why it counts for nothing, "" if it has ended well; and the signal of a fault that has ended
        it, "" if none has.
    """
    try:
        code = await running
    except asyncio.CancelledError:
        # What was judged so far is not lost.
        task = asyncio.current_task()
        assert task
        task.uncancel()
        await asyncio.gather(running, return_exceptions=True)
        return INTERRUPTED, ""
    return _problem(code, time_limit), fault_of(code or 0)


def _problem(code: int | None, time_limit: float | None) -> str:
    """Why a command counts for nothing; "" if it has ended well."""
    if code is None:
        return f"the command was still running after {time_limit:g} s, and was ended"
    if fault := fault_of(code):
        return f"the command was ended by {fault}"
    return f"the command failed: exit code {code}" if code else ""


def _doubts(report: Report, problem: str, *, asked: bool) -> tuple[str, ...]:
    """What may be wrong with a test suite whose client does not get through.

    Args:
        report: what came of it.
        problem: why the command counts for nothing, "" if it has ended well.
        asked: whether it has asked which cases there are.
    """
    failed = next((each for each in report.controls if each.outcome != "pass"), None)
    if failed is None:
        return ()
    ended = (f"{problem[:1].upper()}{problem[1:]}",) if problem else ()
    connected = bool(failed.evidence and failed.evidence.connections)
    # One that got through at first has found its way, and did not come to the end of it.
    if report.controls[0].outcome == "pass":
        return ended or (() if connected else (_CUT_SHORT,))
    if not asked:
        return (
            *ended,
            f"The command has not asked which cases there are: ${VARIABLE}/cases tells",
            "Has it run its tests, or kept an earlier result of them?",
        )
    if not connected:
        return (
            *ended,
            "Does the test give its client the target of the case to dial, and make a call?",
            "Does the client take a proxy from its environment (https_proxy, grpc_proxy)?",
        )
    return (
        *ended,
        "Does the test give its client the file of the case's CA to trust (ca), or for a client "
        "that pins, its certificate (pin)?",
        "Does it have it expect the case's name (server_name), and make a call?",
    )
