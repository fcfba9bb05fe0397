"""Whether a client got in, by the server's answer and not by the handshake: pure functions."""

from mitm.audit.case import Case
from mitm.audit.finding import Finding, Outcome
from mitm.audit.servers.answer import Answer
from mitm.audit.servers.way import Way

NOUN = "server"

# By these a server says that it knows the client, or its place, and turns it away.
_TURNED_AWAY = ("UNAUTHENTICATED", "PERMISSION_DENIED")
# Of a proxy or an overloaded server: nothing is said of the client.
_NOBODY_AT_HOME = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED")
# What the TLS library here says where it does not speak a version at all.
_NOT_SPOKEN = ("no protocols available", "no ciphers available", "unsupported protocol")


def case_of(way: Way) -> Case:
    """The way, as reports tell it."""
    return Case(
        name=way.name,
        title=way.title,
        expect=way.expect,
        severity=way.severity,
        cwe=way.cwe,
        rule=way.rule,
        fix=way.fix,
        lesson=way.lesson,
        chain=None,
        family=way.family,
        cause=way.cause,
    )


CONTROL = Case(
    name="good-certificate",
    title="The certificate that gets in",
    expect="accept",
    severity="must",
    cwe=(),
    rule="",
    fix="",
    lesson="",
    chain=None,
    family="accepted",
)


def judge_control(answer: Answer, first: Answer | None = None) -> Finding:
    """Say whether the good client gets in.

    Args:
        answer: that it has had.
        first: the one that it had before all others; None if this is that one.
    """
    how = describe(answer)
    if first is not None and answer.status != first.status and _decided(answer):
        reason = f"{how}; but at first {describe(first)}: what has changed, others may owe it to"
        return _finding(CONTROL, "inconclusive", reason, answer)
    if answer.status in _TURNED_AWAY or answer.status == "HTTP 403":
        return _finding(CONTROL, "too-strict", f"turned away: {how}", answer)
    if answer.reached == "call":
        return _finding(CONTROL, "pass", f"gets in: {how}", answer)
    if answer.silent:
        return _finding(CONTROL, "inconclusive", how, answer)
    return _finding(CONTROL, "too-strict", f"turned away: {how}", answer)


def _decided(answer: Answer) -> bool:
    return answer.reached == "call" and answer.status not in _TURNED_AWAY


def judge(way: Way, answer: Answer, control: Answer) -> Finding:
    """Say what came of a way: what the server did, held against what a correct one does.

    Args:
        way: which.
        answer: of the server.
        control: what it has answered the good client.
    """
    case, how = case_of(way), describe(answer)
    if answer.local in _NOT_SPOKEN:
        reason = f"the TLS library here does not speak it: {answer.local}"
        return _finding(case, "unsupported", reason, answer)
    if _shows(way) and answer.asked and answer.shown is False and not answer.resumed:
        reason = "the TLS library here did not send the certificate, whose kind was not asked for"
        return _finding(case, "unsupported", reason, answer)
    if way.path != "right" and control.status == "UNIMPLEMENTED":
        reason = "the server has no such method: name one that it has with --method"
        return _finding(case, "not-exercised", reason, answer)
    if answer.silent:
        return _finding(case, "inconclusive", f"undecided: {how}", answer)
    entered = _entered(way, answer, control)
    if entered is None:
        return _finding(case, "inconclusive", f"undecided: {how}", answer)
    if entered:
        outcome: Outcome = "vulnerable" if way.expect == "reject" else "pass"
        return _finding(case, outcome, f"got in: {how}{_unasked(way, answer)}", answer)
    outcome = "pass" if way.expect == "reject" else "too-strict"
    return _finding(case, outcome, f"turned away: {how}", answer)


def _entered(way: Way, answer: Answer, control: Answer) -> bool | None:
    """Whether the client got as far as a call; None if that cannot be said."""
    if answer.reached != "call":
        return False
    if answer.status in _TURNED_AWAY:
        return False
    if answer.status == control.status:
        return True
    if _elsewhere(way):
        # Under another name, or path, there may be another service, that anybody may call.
        return False
    if not answer.is_grpc:
        # RFC 9110 section 15.5: the request is what is wrong. nginx answers 400 without a
        # certificate, Envoy 403.
        if answer.status.startswith("HTTP 4"):
            return False
        return True if answer.status.startswith("HTTP 2") else None
    return None if answer.status in _NOBODY_AT_HOME else True


def _elsewhere(way: Way) -> bool:
    return way.server_name != "right" or way.authority != "right" or way.path != "right"


def _shows(way: Way) -> bool:
    return way.show != "none" and not way.plaintext


def _unasked(way: Way, answer: Answer) -> str:
    if way.plaintext or answer.asked is not False or answer.resumed:
        return ""
    return "; it was asked for no certificate"


def describe(answer: Answer) -> str:
    """What a server has done, in words."""
    where = {
        "handshake": " within the handshake",
        "connection": f" after the handshake ({answer.version})" if answer.version else "",
    }.get(answer.reached, "")
    said = f" ({answer.said})" if answer.said else ""
    if answer.reached == "call":
        how = f"answered {answer.status}{said}"
        return f"{how}, in a session that was resumed" if answer.resumed else how
    return f"{answer.how}{where}"


def _finding(case: Case, outcome: Outcome, reason: str, answer: Answer) -> Finding:
    said = answer.said or answer.alert
    return Finding(case, outcome, reason, said=said, noun=NOUN, answer=answer)
