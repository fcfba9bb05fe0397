"""The verdict on a leg of a scenario: what was observed, held against the two other witnesses.

What the client did is decided in `mitm.evidence`, here and in the audit alike. The table that makes
a verdict of it is in docs/verdicts.md.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import msgspec

from mitm.evidence import Act, Altered, ClientRun, Evidence, Observation
from mitm.messages.status import status_name

Verdict = Literal[
    "connected", "failed", "exposed", "compromised", "aborted", "unreached", "inconclusive"
]
GenuineVerdict = Literal["connected", "failed"]
InterceptedVerdict = Literal["exposed", "compromised", "aborted", "unreached", "inconclusive"]
GENUINE_VERDICTS: tuple[GenuineVerdict, ...] = get_args(GenuineVerdict)
INTERCEPTED_VERDICTS: tuple[InterceptedVerdict, ...] = get_args(InterceptedVerdict)

_VERDICTS: dict[Act, InterceptedVerdict] = {
    "sent": "compromised",
    "exposed": "exposed",
    "rejected": "aborted",
    "unreached": "unreached",
    "declined": "inconclusive",
    "undecided": "inconclusive",
}


class ServerCall(msgspec.Struct, frozen=True):
    """One call, as the server itself recorded it.

    Attributes:
        identity: the names of the client's certificate; "" for a client without.
    """

    method: str
    peer: str
    status: str
    identity: str = ""


class LegResult(msgspec.Struct, frozen=True):
    """A verdict, why it was given, and what it rests on."""

    verdict: Verdict
    reason: str
    client: ClientRun
    server_calls: tuple[ServerCall, ...] = ()
    evidence: Evidence | None = None


def judge_genuine(client: ClientRun, calls: Sequence[ServerCall]) -> LegResult:
    """Judge the control: did the call succeed, by client and server alike?

    Args:
        client: what came of the client.
        calls: what the server recorded during this leg.
    """
    answered = any(call.status == "OK" for call in calls)
    if _succeeded(client) and answered:
        return LegResult("connected", "client and server agree", client, tuple(calls))
    if _succeeded(client):
        reason = "the client reports an answer, but the server has recorded no such call"
    else:
        reason = told(client) + ("; yet the server has answered a call" if answered else "")
    return LegResult("failed", reason, client, tuple(calls))


def judge_intercepted(
    observation: Observation, client: ClientRun, calls: Sequence[ServerCall], *, direct: bool = True
) -> LegResult:
    """Judge the attack, over all connections that the client made.

    Args:
        observation: of what the interceptor saw during this leg.
        client: what came of the client.
        calls: what the server recorded during this leg.
        direct: whether the server sees the interceptor itself, and not somebody between them.
    """
    evidence = observation.evidence
    if _believed(evidence.altered, client):
        evidence = msgspec.structs.replace(evidence, reached="altered")
    around = direct and any(call.peer not in observation.relayed for call in calls)
    verdict, reason = _VERDICTS[observation.act], observation.reason
    if verdict in ("compromised", "exposed"):
        # What was decrypted was decrypted, whatever the other witnesses say: they are quoted.
        reason += _dissent(evidence, client, calls, around=around)
    elif contradiction := _contradiction(observation, client, calls, around=around):
        verdict, reason = "inconclusive", contradiction
    elif verdict == "aborted":
        reason = f"the client was shown the forged certificate and left: {reason}"
        if client.crash:
            reason += f"; and it crashed: {client.crash}"
    return LegResult(verdict, reason, client, tuple(calls), evidence)


def told(client: ClientRun) -> str:
    """What came of the client, by its own word."""
    if client.problem:
        return client.problem
    if not client.over:
        return f"the client did not end within {client.seconds:g} s"
    if client.crash:
        return f"the client was {client.said}"
    if _succeeded(client):
        return "the call was answered"
    error = (client.answer or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f"the call failed: {code or 'no reason given'}"


def _succeeded(client: ClientRun) -> bool:
    return not client.problem and client.exit_code == 0


def _contradiction(
    observation: Observation, client: ClientRun, calls: Sequence[ServerCall], *, around: bool
) -> str:
    """What another witness says against a client that was seen to send nothing; "" for nothing."""
    if around:
        return "a call reached the server, but not through the interceptor"
    if calls:
        return "the server recorded a call that the interceptor did not see"
    if _succeeded(client):
        return "the client reports an answer, but none passed the interceptor"
    if client.crash and observation.act != "rejected":
        return told(client)
    if client.exit_code not in (1, None) and not client.crash and not client.problem:
        return f"the client did not try: exit code {client.exit_code}"
    return ""


def _dissent(
    evidence: Evidence, client: ClientRun, calls: Sequence[ServerCall], *, around: bool
) -> str:
    """What else is to be said of a client that sent data, and which witness does not confirm it."""
    said = ""
    if evidence.reached == "altered":
        said = "; the client believed an altered answer"
    elif any(each.sender == "server" for each in evidence.altered):
        said = "; the answer was altered, which the client does not repeat"
    if evidence.server_refused:
        said += f"; {evidence.server_refused}"
    if around:
        return f"{said}; a call also reached the server without passing the interceptor"
    if _succeeded(client) and not any(call.status == "OK" for call in calls):
        return f"{said}; the client reports an answer that the server has no record of"
    if evidence.reached == "messages" and not calls and not evidence.server_refused:
        return f"{said}; the server has no record of a call"
    return said


def _believed(altered: Sequence[Altered], client: ClientRun) -> bool:
    """Whether the client reports what was written in the server's place, and not what it replaced.

    Values are compared, not fields: a client may name fields as it likes. A status it names as
    client/README.md says.
    """
    if client.problem:
        return False
    said = set(_values(client.answer))
    for each in altered:
        if each.sender == "server" and each.part != "metadata":
            before, after = set(_values(each.before)), set(_values(each.after))
            if each.part == "status":
                before, after = set(map(status_name, before)), set(map(status_name, after))
            if after - before and after - before <= said and not (before - after) & said:
                return True
    return False


def _values(value: object) -> Iterator[str]:
    """The values in a JSON value, as text: a 64-bit number is text in the form of Protobuf."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _values(each)
    else:
        yield str(value)
