"""Servers graded: by whom they let in."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from mitm import pki
from mitm.address import LOCALHOST, Address
from mitm.audit import Finding
from mitm.audit.case import names_under_test
from mitm.audit.servers.credentials import Credentials, credentials_from_files
from mitm.audit.servers.probe import run_probe
from mitm.audit.servers.target import Target
from mitm.errors import UserError
from mitm.lab.clients import filled
from mitm.learn.exercise import Exercise, ServerRules, ways
from mitm.learn.grade import Grade, Tried
from mitm.learn.program import LearnersProgram, braced
from mitm.masking import plain, shortened
from mitm.programs import Ended, Program, started

# Who may call.
ALLOWED = pki.CLIENT_IDENTITY

_METHOD = "/users.v1.UserService/GetUser"
_REQUEST = b"\x08\x01"  # of user 1

_LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.05

# Seconds that a server has to end which still listens: of a process that ends, the sockets are
# closed one after the other.
_PARTING_SECONDS = 1.0


async def grade_server(
    exercise: Exercise,
    rules: ServerRules,
    program: LearnersProgram,
    on_step: Callable[[str], None],
) -> Grade:
    """Grade a server: whoever may call must get an answer, and nobody else.

    Args:
        exercise: which.
        rules: how it is graded.
        program: ready to be run.
        on_step: told what is being done.

    Raises:
        UserError: it cannot be started.
    """
    with TemporaryDirectory(prefix="mitm-demo-") as name:
        files, credentials, ca_pem = _credentials(Path(name))
        address = Address(_LOOPBACK, _free_port())
        told = files | {"listen": str(address), "allowed": ALLOWED}
        command = filled(program.command, braced(told))
        on_step("starting your server, and calling it as those who may, and as those who may not")
        async with started(command, program.environment, folder=program.folder) as server:
            problem = await _comes_up(server, address, exercise.seconds)
            if problem:
                graded = Grade("unproved", problem)
            else:
                target = Target(address, LOCALHOST, LOCALHOST, _METHOD, _REQUEST, ca_pem=ca_pem)
                graded = await _called(target, credentials, rules)
            if graded.outcome != "unproved":
                return graded
            # How a call fails depends on how far a server has come with its end.
            problem = problem or await _gone(server, address, exercise.seconds)
            ended = Ended(
                "still-running" if server.code is None else "ended",
                server.code,
                server.stdout.take(),
                server.stderr.take(),
            )
            if problem:
                graded = replace(graded, reason=_line(f"{problem}: {ended.said}"))
            return replace(graded, said=ended.last_lines)


async def _called(target: Target, credentials: Credentials, rules: ServerRules) -> Grade:
    try:
        report = await run_probe(target, credentials, ways(rules))
    except UserError as error:
        return Grade("unproved", _line(str(error)))
    return judged(report.controls, report.findings)


def _credentials(folder: Path) -> tuple[dict[str, str], Credentials, str]:
    """The files that a server is told, what its callers have, and who has signed for it."""
    lab = pki.Authorities(names_under_test(LOCALHOST))
    served = pki.forge(pki.load_recipe("genuine"), LOCALHOST, lab)
    caller = pki.forge(pki.load_recipe("genuine"), ALLOWED, lab, purpose="client")
    files = {"cert": served.pem, "key": served.key_pem, "clients": lab.lab.pem}
    ours = {"caller.pem": caller.pem, "caller.key": caller.key_pem}
    for name, pem in (files | ours).items():
        pki.write_private(folder / name, pem)
    credentials = credentials_from_files(folder / "caller.pem", folder / "caller.key")
    told = {name: str(folder / name) for name in files}
    return told, credentials._replace(authority=lab.lab), lab.lab.pem.decode()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


async def _comes_up(server: Program, address: Address, seconds: float) -> str:
    """Wait until a server takes connections; why it does not, "" if it does."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        if await _listens(address):
            return ""
        if server.code is not None:
            return "it ends before it is called"
        await asyncio.sleep(_POLL_SECONDS)
    return f"it does not listen on {address} within {seconds:g} s"


async def _gone(server: Program, address: Address, seconds: float) -> str:
    """What has become of a server that took connections; "" if it still does."""
    listens = await _listens(address)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.wait(), _PARTING_SECONDS if listens else seconds)
    if server.code is not None:
        return "it ends while it is called"
    return "" if listens else f"it does not listen on {address} any more"


async def _listens(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.transport.abort()
    return True


def judged(controls: tuple[Finding, ...], findings: tuple[Finding, ...]) -> Grade:
    """What the findings come to. The controls first: without them, nothing is proved.

    Args:
        controls: of the one who may call, first and last.
        findings: of those who may not.
    """
    first = controls[0]
    if first.outcome != "pass" or not first.answer or first.answer.status != "OK":
        return Grade("unproved", _line(f"whoever may call is not served: {first.reason}"))
    tried = tuple(
        Tried(f.case.name, f.case.title, f.outcome in _GOOD, _line(f.reason)) for f in findings
    )
    for finding in findings:
        if finding.outcome == "vulnerable":
            reason = f"it let in {finding.case.name} ({finding.case.title}): {finding.reason}"
            return Grade("red", _line(reason), (), tried)
    for finding in findings:
        if finding.outcome not in _GOOD:
            reason = f"nothing is proved of {finding.case.name}: {finding.reason}"
            return Grade("unproved", _line(reason), (), tried)
    if controls[-1].outcome != "pass" or len(controls) < len(("first", "last")):
        reason = f"whoever may call is not served at the end: {controls[-1].reason}"
        return Grade("unproved", _line(reason), (), tried)
    return Grade("green", "whoever may call is served, and nobody else is", (), tried)


# What cannot be played here proves nothing, and is nobody's fault.
_GOOD = ("pass", "unsupported")


def _line(text: str) -> str:
    return plain(shortened(text))
