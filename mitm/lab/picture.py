"""A scenario that was played, as one picture: who stood where, who believed what, and the verdict.

It is made once, of plain data. A console, a page and a report show the same, each in its own way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from mitm.audit.fixes import fix_of
from mitm.audit.stack import kind_of_stack, user_agent
from mitm.capture.wording import Mood, mood_of
from mitm.events import Leg, Member
from mitm.evidence import Altered, Call, Evidence
from mitm.evidence.records import without_a_call
from mitm.lab.play import Played, PlayedLeg
from mitm.masking import as_text, plain, shortened
from mitm.messages.status import status_name
from mitm.verdict import LegResult, Verdict, told

# What decides, where the legs of a scenario came to different ends: the worst that was done to a
# client, then what is not proved, then who defended themselves.
_WORST: tuple[Verdict, ...] = (
    "compromised", "exposed", "inconclusive", "unreached", "aborted", "failed", "connected",
)  # fmt: skip

# Calls that are told of, and characters of one line.
_CALLS = 3
_LONGEST = 200

# Causes, by the policy of a client that lets somebody in.
_LACKING = {"insecure": "no-tls", "skip-verify": "no-verification"}

_HOW = {
    "eof": "closed without an alert",
    "close-notify": "closed with close_notify",
    "reset": "reset the connection",
}


class Said(NamedTuple):
    """One thing that is to be read in the picture.

    Attributes:
        text: without anything that a terminal would obey, or a secret.
        mood: what it means for the client.
    """

    text: str
    mood: Mood = ""


class Changed(msgspec.Struct, frozen=True):
    """What was changed on its way, both versions.

    Attributes:
        what: a message by its name, metadata, the status.
        sender: who had sent the original.
        receiver: who was given the other.
        fields: of each, its name, its value as it was sent, and as it was given; "" for none.
    """

    what: str
    sender: str
    receiver: str
    fields: tuple[tuple[str, str, str], ...]


class LegPicture(msgspec.Struct, frozen=True):
    """One leg.

    Attributes:
        leg: with an attacker in the way, or the control.
        path: who stood where, from the client on.
        policy: the client's.
        verdict: what it came to; "" if it was not played.
        mood: of the verdict. What the control does not bear out is nothing good.
        reason: for the verdict; or why it was not played.
        expected: the verdict that the scenario says.
        proved: whether the control held, by which an attack proves something.
        believed: what the client believed of it.
        read: what the attacker read, and what it wrote.
        server: what the server has recorded.
        connections: how each connection to the attacker went, in their order.
        changed: what was changed on its way.
    """

    leg: Leg
    path: tuple[str, ...]
    policy: str
    verdict: Verdict | None
    mood: Mood
    reason: str
    expected: str
    proved: bool = True
    believed: tuple[Said, ...] = ()
    read: tuple[Said, ...] = ()
    server: tuple[Said, ...] = ()
    connections: tuple[Said, ...] = ()
    changed: tuple[Changed, ...] = ()


class Picture(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        scenario: its name.
        title: what it is about.
        client: what the client program is written in, and with what.
        cast: who takes part.
        legs: in their order.
        shown: the number of the leg that the verdict is of, from 0.
        verdict: of the scenario: the worst that was done to a client in it.
        mood: of the verdict.
        as_scripted: whether each leg came to what the scenario says.
        point: the lesson in one sentence; "" if this run did not show it.
        fix: what to change, in one line, in the client's own stack; "" for nothing.
        how_to_fix: the same at length, as Markdown; "" for nothing.
        next: the scenario that comes after it; "" for none.
    """

    scenario: str
    title: str
    client: str
    cast: tuple[Member, ...]
    legs: tuple[LegPicture, ...]
    shown: int
    verdict: Verdict
    mood: Mood
    as_scripted: bool
    point: str
    fix: str
    how_to_fix: str
    next: str


def picture(outcome: Played) -> Picture:
    """The picture of a scenario.

    Args:
        outcome: what came of it; at least one of its legs was played.
    """
    script = outcome.script
    legs = tuple(leg_picture(outcome, number) for number in range(len(outcome.legs)))
    shown = min((n for n, leg in enumerate(legs) if leg.verdict), key=lambda n: _rank(legs[n]))
    verdict = legs[shown].verdict
    assert verdict
    # A lesson tells what comes of its scenario, and is none where something else has come.
    matched = outcome.matched
    return Picture(
        scenario=plain(script.scenario),
        title=plain(script.title),
        client=plain(script.client_title),
        cast=tuple(Member(*map(plain, (m.name, m.program, m.told))) for m in script.cast),
        legs=legs,
        shown=shown,
        verdict=verdict,
        mood=legs[shown].mood,
        as_scripted=matched,
        point=plain(script.point) if matched else "",
        fix=plain(fix_of_its_stack(outcome) or script.fix) if matched else "",
        how_to_fix=script.how_to_fix if matched else "",
        next=plain(script.next),
    )


def fix_of_its_stack(outcome: Played) -> str:
    """What to change in a client of another stack than the lesson is in; "" if it is in that."""
    for leg in outcome.legs:
        lacking = _LACKING.get(leg.script.policy)
        if leg.script.leg == "intercepted" and leg.result and lacking:
            stack = kind_of_stack(user_agent(leg.result.evidence))
            fix = fix_of(lacking, stack)
            if fix and stack != "grpcio":
                return f"{fix}."
    return ""


def _rank(leg: LegPicture) -> tuple[bool, int]:
    """An attack before its control, the worst first."""
    assert leg.verdict
    return leg.leg == "genuine", _WORST.index(leg.verdict)


def leg_picture(outcome: Played, number: int) -> LegPicture:
    """The picture of one leg.

    Args:
        outcome: what came of the scenario, so far.
        number: of the leg, from 0.
    """
    played = outcome.legs[number]
    script, result = played.script, played.result
    path = tuple(map(plain, script.path))
    if result is None:
        return LegPicture(
            leg=script.leg,
            path=path,
            policy=plain(script.policy),
            verdict=None,
            mood="caution",
            reason=plain(played.left_out),
            expected=plain(script.expected),
        )
    proved = script.leg == "genuine" or outcome.control_held(number)
    mood = mood_of(result.verdict)
    if not proved and mood != "harm":
        mood = "caution"
    evidence = result.evidence
    believed = _believed(played, result, _dials(script.path, outcome.script.cast))
    read = _read(evidence) if evidence else ()
    return LegPicture(
        leg=script.leg,
        path=path,
        policy=plain(script.policy),
        verdict=result.verdict,
        mood=mood,
        reason=plain(result.reason),
        expected=plain(script.expected),
        proved=proved,
        believed=tuple(_borne_out(believed, mood)),
        read=tuple(_borne_out(read, mood)),
        server=tuple(_recorded(result)),
        connections=tuple(_connections(evidence, script.policy)) if evidence else (),
        changed=tuple(map(_changed, evidence.altered)) if evidence else (),
    )


def _borne_out(said: Iterable[Said], mood: Mood) -> Iterator[Said]:
    """What was said of a leg; nothing of it is good where its verdict is not."""
    for each in said:
        yield each if mood == "good" or each.mood != "good" else Said(each.text)


def _dials(path: Sequence[str], cast: Sequence[Member]) -> str:
    """Who it is that has the attacker in front of it: the client, or an ingress."""
    attackers = {member.name for member in cast if member.program == "interceptor"}
    at = next((n for n, name in enumerate(path) if name in attackers), 1)
    return path[max(at - 1, 0)]


def connection_believed(*, encrypted: bool) -> str:
    """What a client believes that goes on with an attacker.

    Args:
        encrypted: whether it takes the connection for an encrypted one.
    """
    how = "an encrypted connection" if encrypted else "a connection, in plaintext,"
    return f"that it has {how} to its server"


def _believed(played: PlayedLeg, result: LegResult, dials: str) -> Iterator[Said]:
    """What the client took it for, by what it did and by its own word."""
    match result.verdict:
        case "compromised":
            yield _said(connection_believed(encrypted=True))
        case "exposed":
            yield _said(connection_believed(encrypted=played.script.policy != "insecure"))
        case "aborted":
            left = "it left" if dials == played.script.path[0] else f"{dials} left"
            yield _said(f"that whoever answers is not its server: {left}", "good")
    answer = result.client.answer or {}
    error = answer.get("error")
    if isinstance(error, dict) or not answer or result.verdict not in _ANSWERED:
        yield _said(told(result.client))
        return
    yield _said(f"that its server answered {', '.join(_fields(answer))}")


_ANSWERED = ("connected", "compromised", "exposed")


def _read(evidence: Evidence) -> Iterator[Said]:
    for call in evidence.calls[:_CALLS]:
        yield _said(call.method, "harm")
        yield from _credentials(call, evidence)
        changed: dict[str, Changed] = {
            each.sender: _changed(each) for each in evidence.altered if each.part == "message"
        }
        for way, sender, messages in (
            ("asked", "client", call.requests),
            ("answered", "server", call.responses),
        ):
            for message in messages[:_CALLS]:
                yield _said(f"{way}: {', '.join(_fields(message)) or 'nothing'}", "harm")
            if len(messages) > _CALLS:
                yield _said(f"… and {len(messages) - _CALLS} more", "harm")
            if sender in changed:
                yield from _written(changed[sender])
    if len(evidence.calls) > _CALLS:
        yield _said(f"… and {len(evidence.calls) - _CALLS} calls more", "harm")
    if shown := evidence.client_certificate:
        names = f" ({', '.join(shown.names)})" if shown.names else ""
        what = f"the client's own certificate: {shown.subject}{names}, issued by {shown.issuer}"
        yield _said(what, "harm" if shown.proved else "caution")
    if evidence.calls:
        return
    if evidence.reached == "nothing":
        yield _said("nothing", "good")
    else:
        mood: Mood = "" if evidence.reached == "preface" else "harm"
        yield _said(without_a_call(evidence.reached), mood)


def _changed(altered: Altered) -> Changed:
    def shown(version: dict[str, object], name: str) -> str:
        return plain(_value(version[name])) if name in version else ""

    before, after = altered.before, altered.after
    return Changed(
        what=plain(altered.type.rpartition(".")[2] or altered.part),
        sender=altered.sender,
        receiver="client" if altered.sender == "server" else "server",
        fields=tuple(
            (plain(name), shown(before, name), shown(after, name)) for name in before | after
        ),
    )


def _credentials(call: Call, evidence: Evidence) -> Iterator[Said]:
    for name, value in call.metadata.items():
        if name in evidence.credentials:
            yield _said(f"{name}: {value}", "harm")


def _written(changed: Changed) -> Iterator[Said]:
    """What the attacker wrote in the place of something."""
    for name, before, after in changed.fields:
        if before != after:
            yield _said(f"changed {name}: {before} → {after}", "harm")


def _recorded(result: LegResult) -> Iterator[Said]:
    for call in result.server_calls:
        whose = f", a client with the certificate of {call.identity}" if call.identity else ""
        yield _said(f"recorded {call.method} {status_name(call.status)} from {call.peer}{whose}")


def _connections(evidence: Evidence, policy: str) -> Iterator[Said]:
    endings = evidence.connections
    for ending in endings:
        if ending.accepted:
            handshake = "TLS handshake completed"
        else:
            handshake = "TLS handshake refused" if ending.phase == "handshake" else "no TLS"
        how = f"alert {ending.alert}" if ending.alert else _HOW.get(ending.how, ending.how)
        text = f"connection {ending.connection}: {handshake}; {ending.by} {how}"
        fetched = ending.accepted and ending.reached == "nothing" and ending is not endings[-1]
        if policy == "skip-verify" and fetched:
            # ssl.get_server_certificate and its like.
            text += ". It came for the certificate alone, to trust it on the next connection"
        yield _said(text)


def _fields(value: object) -> list[str]:
    """A message, or a client's answer, as its fields: the innermost that hold values."""
    while isinstance(value, Mapping) and len(value) == 1:
        (inner,) = value.values()
        if not isinstance(inner, Mapping):
            break
        value = inner
    if isinstance(value, Mapping):
        return [f"{name}: {_value(each)}" for name, each in value.items()]
    return [_value(value)]


def _value(value: object) -> str:
    return value if isinstance(value, str) else as_text(value)


def _said(text: str, mood: Mood = "") -> Said:
    return Said(plain(shortened(text, _LONGEST)), mood)
