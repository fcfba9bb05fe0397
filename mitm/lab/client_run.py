"""One run of a client program: started, and understood, by the contract of client/README.md."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from mitm.address import Address
from mitm.errors import UserError
from mitm.evidence import ClientRun
from mitm.lab.clients import Client, surroundings
from mitm.lab.policies import Policy, Trust, environment, options
from mitm.masking import shortened
from mitm.programs import Ended, run, secrets_of

# Seconds beyond its own --timeout after which a client counts as hung.
HANG_SECONDS = 2.0

# Characters of an output that is not what it should be: enough to tell what it is instead.
_PRINTED = 60

# Levels of an answer, as deep as Protobuf's own parsers go. What is deeper can be read, but not
# written again by whoever is deep in calls already.
_DEEPEST = 100

NOTHING_MORE: Mapping[str, str] = {}

# Characters of a reason that a client gives: a sentence.
_REASON = 300

_NOT_SUPPORTED = "the client says that it does not support this policy"

# The exit code by which a client says that its stack cannot do what a policy says.
_UNSUPPORTED = 4


class PolicyUnsupported(UserError):  # noqa: N818
    """A client has said that its stack cannot do what a policy says.

    Attributes:
        reason: the client's own.
    """

    def __init__(self, client: Client, policy: Policy, reason: str) -> None:
        super().__init__(f"the client {client.name} has no policy {policy}: {reason}")
        self.reason = reason


async def run_client(
    client: Client,
    policy: Policy,
    target: Address,
    trust: Trust,
    *,
    timeout: float,
    more: Mapping[str, str] = NOTHING_MORE,
    enough: asyncio.Event | None = None,
    planted: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda environment: environment,
) -> ClientRun:
    """Run a client once, to its end or to the time limit.

    Args:
        client: which one, ready to be run.
        policy: how it is to decide whom to trust.
        target: what it is to dial.
        trust: what it is given for that.
        timeout: seconds that it is given; a client that goes on is ended a little later.
        more: further options of client/README.md, by their names without dashes.
        enough: when this is set, it need not go on.
        planted: what else is to stand in its environment.

    Raises:
        UserError: it cannot be started.
    """
    asked = {"target": str(target), **options(policy, trust), **more, "timeout": f"{timeout:g}"}
    command = [*client.command]
    for name, value in asked.items():
        command += [f"--{name}", value]
    surrounded = planted(surroundings(environment(policy, trust)))
    ended = await run(command, surrounded, timeout + HANG_SECONDS, enough)
    return understood(ended, timeout).without_secrets(secrets_of(command, surrounded))


def must_be_supported(client: Client, policy: Policy, run: ClientRun) -> ClientRun:
    """Give a run back, unless in it the client has said that it does not support a policy.

    Args:
        run: a control. Of an attack, what was seen of the client comes before its own word.

    Raises:
        PolicyUnsupported: it has said so.
    """
    reason = _reason(run.answer)
    if reason and run.exit_code in (_UNSUPPORTED, None):
        raise PolicyUnsupported(client, policy, shortened(reason, _REASON))
    return run


def understood(ended: Ended, seconds: float) -> ClientRun:
    """What a client has said by the time that it ended, by the contract.

    Args:
        ended: what came of it.
        seconds: that it was given.
    """
    answer = _answer(ended.stdout)
    client = msgspec.structs.replace(ClientRun.of_program(ended, seconds), answer=answer)
    if ended.code is None or ended.crash:
        return client
    problem = ""
    if ended.code < 0:
        problem = f"the client was {ended.said}"
    elif ended.code == _UNSUPPORTED and (reason := _reason(answer)):
        problem = f"{_NOT_SUPPORTED}: {reason}"
    elif ended.code not in (0, 1):
        problem = f"the client exited with {ended.said.removeprefix('exit code ')}"
    else:
        wanted = "user" if ended.code == 0 else "error"
        if not isinstance((answer or {}).get(wanted), dict):
            shown = shortened(ended.stdout.decode(errors="replace"), _PRINTED)
            problem = f"the client printed no {wanted!r} object: {shown!r} ({ended.said})"
    return msgspec.structs.replace(client, problem=problem)


def answered(line: bytes, printed: tuple[str, ...] = ()) -> ClientRun:
    """What a client has said by a line of a batch, by the contract.

    Args:
        line: its answer.
        printed: the last lines that it has printed besides.
    """
    answer = _answer(line)
    run = ClientRun("returned", failed=True, answer=answer, last_lines=printed)
    match answer:
        case {"user": dict()}:
            return msgspec.structs.replace(run, failed=False)
        case {"error": dict() as error}:
            said = f"{error.get('code')}: {error.get('message')}"
            return msgspec.structs.replace(run, said=said)
        case {"usage": dict() as wrong}:
            # As if it had been run alone, and had exited with 2.
            said = f"wrong usage: {wrong.get('message')}"
            return msgspec.structs.replace(run, said=said, problem=f"the client reports {said}")
    if reason := _reason(answer):
        problem = f"{_NOT_SUPPORTED}: {reason}"
    else:
        shown = shortened(line.decode(errors="replace"), _PRINTED)
        problem = f"the client printed no answer: {shown!r}"
    return msgspec.structs.replace(run, problem=problem)


def _reason(answer: dict[str, object] | None) -> str:
    """Why a client does not support a policy, by its answer; "" if it says no such thing."""
    match answer:
        case {"unsupported": {"reason": str() as reason}} if reason.strip():
            return " ".join(reason.split())
    return ""


def _answer(stdout: bytes) -> dict[str, object] | None:
    """The object that a client has printed; None if it is none that can be printed again.

    Python's own parser takes NaN and half a surrogate pair, which are no JSON (RFC 8259).
    """
    try:
        answer = msgspec.json.decode(stdout, type=dict[str, object])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return answer if _is_shallow(answer, _DEEPEST) else None


def _is_shallow(value: object, levels: int) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_shallow(part, levels - 1) for part in parts)
    return True
