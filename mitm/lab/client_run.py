"""One run of a client program: started, and understood, by the contract of client/README.md."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from mitm.address import Address
from mitm.evidence import ClientRun
from mitm.lab.clients import Client, surroundings
from mitm.lab.policies import Policy, Trust, arguments, environment
from mitm.masking import shortened
from mitm.programs import Ended, run, secrets_of

# Seconds beyond its own --timeout after which a client counts as hung.
HANG_SECONDS = 2.0

# Characters of an output that is not what it should be: enough to tell what it is instead.
_PRINTED = 60

# Levels of an answer, as deep as Protobuf's own parsers go. What is deeper can be read, but not
# written again by whoever is deep in calls already.
_DEEPEST = 100


async def run_client(
    client: Client,
    policy: Policy,
    target: Address,
    trust: Trust,
    *,
    timeout: float,
    more: Sequence[str] = (),
    enough: asyncio.Event | None = None,
    planted: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda environment: environment,
) -> ClientRun:
    """Run a client once, to its end or to the time limit.

    Args:
        client: which one.
        policy: how it is to decide whom to trust.
        target: what it is to dial.
        trust: what it is given for that.
        timeout: seconds that it is given; a client that goes on is ended a little later.
        more: further options of client/README.md.
        enough: when this is set, it need not go on.
        planted: what else is to stand in its environment.

    Raises:
        UserError: it cannot be started.
    """
    command = [*client.command, "--target", str(target), *arguments(policy, trust), *more]
    command += ["--timeout", f"{timeout:g}"]
    surrounded = planted(surroundings(environment(policy, trust)))
    ended = await run(command, surrounded, timeout + HANG_SECONDS, enough)
    return _understand(ended, timeout).without_secrets(secrets_of(command, surrounded))


def _understand(ended: Ended, seconds: float) -> ClientRun:
    """What a client has said, by the contract."""
    answer = _answer(ended.stdout)
    client = msgspec.structs.replace(ClientRun.of_program(ended, seconds), answer=answer)
    if ended.code is None or ended.crash:
        return client
    problem = ""
    if ended.code < 0:
        problem = f"the client was {ended.said}"
    elif ended.code not in (0, 1):
        problem = f"the client exited with {ended.said.removeprefix('exit code ')}"
    else:
        wanted = "user" if ended.code == 0 else "error"
        if not isinstance((answer or {}).get(wanted), dict):
            shown = shortened(ended.stdout.decode(errors="replace"), _PRINTED)
            problem = f"the client printed no {wanted!r} object: {shown!r} ({ended.said})"
    return msgspec.structs.replace(client, problem=problem)


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
