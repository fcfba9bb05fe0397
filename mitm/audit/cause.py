"""Why a client accepts what it must not: findings → causes, each with one fix. Pure functions.

A client that verifies nothing accepts some seventy certificates for one reason. The certificates of
a family differ in who they deceive: some only a client that makes a check badly, the *plain* ones
only a client that does not make it at all. A cause says "not at all" only if those were accepted.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from mitm.audit.attack import GENUINE, Attack
from mitm.audit.case import SEVERITIES, TWIN, Case, plain_name
from mitm.audit.finding import Finding, Report, given_in
from mitm.audit.fixes import NO_SWITCH, fix_of
from mitm.audit.servers.cause import SAYS as SAYS_OF_SERVERS
from mitm.audit.servers.cause import sorted_by_cause
from mitm.audit.stack import kind_of_stack
from mitm.audit.wording import SERVER
from mitm.pki.recipe import Severity

CauseName = Literal[
    "no-tls",
    "plaintext-fallback",
    "no-verification",
    "any-issuer",
    "no-name-check",
    "no-dates",
    "untrusted-path",
    "other-roots",
    "no-signature-check",
    "no-possession",
    "lenient-names",
    "lenient-dates",
    "ca-limits",
    "purpose",
    "weak-cryptography",
    "old-protocol",
    "no-alpn",
    "not-understood",
    "no-revocation",
    "fails-open",
    "each-connection",
    "early-trust",
    "failed-handshake",
    "resumption",
    "offer",
    "other",
]

# In a sentence whose subject is the client.
_SAYS: dict[CauseName, str] = {
    "no-tls": "uses no TLS",
    "plaintext-fallback": "does without TLS if that fails",
    "no-verification": "does not verify at all",
    "any-issuer": "takes any issuer: no trust in a CA is checked",
    "no-name-check": "does not check the name: any name is taken",
    "no-dates": "does not check the dates",
    "untrusted-path": "does not follow the path to a CA as it should",
    "other-roots": "trusts other CAs besides the one that it is given",
    "no-signature-check": "does not verify signatures as it should",
    "no-possession": "does not see to it that the server holds the certificate's key",
    "lenient-names": "does not compare names as it should",
    "lenient-dates": "does not check all dates",
    "ca-limits": "does not hold a CA to all of its limits",
    "purpose": "does not check all that a certificate is for",
    "weak-cryptography": "takes weak cryptography",
    "old-protocol": "takes an old or weak protocol",
    "no-alpn": "does not insist on ALPN",
    "not-understood": "takes what it cannot have understood",
    "no-revocation": "does not ask for a proof that the certificate was not revoked",
    "fails-open": "trusts somebody else where its own CA is missing or cannot be used",
    "each-connection": "does not verify on each of its connections",
    "early-trust": "trusts what came over a connection that it had not verified",
    "failed-handshake": "does without verification once a handshake has failed",
    "resumption": "resumes sessions with whoever has the keys of the server's tickets",
    "offer": "offers too much or too little in its ClientHello",
    "other": "accepts what it should reject",
}

# The same of what no client is bound to refuse.
_SAYS_OF_SOUND: dict[CauseName, str] = {
    "lenient-names": "compares names less strictly than others",
}

# The order in which causes of one weight are told.
_ORDER = list(_SAYS)
_PLACES: dict[str, int] = {name: number for number, name in enumerate(_ORDER)}

# Certificates that deceive nobody who makes the check at all; those on the left have to have been
# accepted, those on the right must not have been refused.
_PLAIN: dict[CauseName, tuple[set[str], set[str]]] = {
    "any-issuer": ({"attacker-ca"}, {"self-signed"}),
    "no-name-check": ({"wrong-host"}, {"ip-mismatch"}),
    "no-dates": ({"expired", "not-yet-valid"}, set()),
}
_UNCHECKED: dict[CauseName, CauseName] = {
    "untrusted-path": "any-issuer",
    "lenient-names": "no-name-check",
    "lenient-dates": "no-dates",
}

# What path validation (RFC 5280 section 6) is there for besides trust. Where nothing leads to a CA
# that is trusted, none of it protects anybody.
_OF_THE_PATH: tuple[CauseName, ...] = (
    "other-roots",
    "no-signature-check",
    "ca-limits",
    "purpose",
    "weak-cryptography",
    "not-understood",
    "fails-open",
)

# The families that verification is made of. The certificates that are named are odd in their
# encoding, or in how they are served: a client may turn them away before anybody has verified
# anything.
_VERIFICATION: tuple[CauseName, ...] = (*_UNCHECKED, "ca-limits", "purpose")
_PROOF_OF_NONE: tuple[CauseName, ...] = (*_VERIFICATION, "no-signature-check")
_ODD = {
    *("cn-injection", "nul-in-cn", "nul-in-san", "san-injection", "uri-san"),
    *("email-san", "unicode-name"),
    *("attacker-ca-no-alpn", "attacker-ca-rsa", "attacker-ca-tls-1.2", "wrong-host-tls-1.2"),
}

# Numbers in the Common Weakness Enumeration.
_SIGNATURE, _ENTITY, _REVOCATION, _BEHAVIOUR, _EXTRANEOUS = 347, 322, 299, 436, 349
_WEAK = {326, 327, 328}


class Cause(msgspec.Struct, frozen=True):
    """One thing that is wrong with a client.

    Attributes:
        name: by which programs know it.
        says: what is wrong, in a sentence.
        fix: what to change, in the client's own stack if that is known.
        severity: of the worst certificate that proves it.
        proof: the findings that prove it, the plainest first.
        follows: further certificates that it accepts for that reason.
    """

    name: str
    says: str
    fix: str
    severity: Severity
    proof: tuple[Finding, ...]
    follows: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that was accepted for it."""
        return self.proof + self.follows


def find_causes(report: Report) -> tuple[Cause, ...]:
    """Say why a client has accepted what it has, the worst first.

    Without both controls nothing is proved, and there is no cause.
    """
    if not report.conclusive:
        return ()
    if report.subject.noun == SERVER:
        return _causes_of_a_server(report.findings)
    return causes_of(report.findings, report.subject.stack, control=report.controls[0])


def _causes_of_a_server(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    return tuple(
        Cause(
            name,
            f"this {SERVER} {SAYS_OF_SERVERS.get(name, SAYS_OF_SERVERS['other'])}",
            _own_fix(proof),
            proof[0].case.severity,
            tuple(proof),
            tuple(follows),
        )
        for name, proof, follows in sorted_by_cause(findings)
    )


def causes_of(
    findings: Sequence[Finding], stack: str = "", *, control: Finding | None = None
) -> tuple[Cause, ...]:
    """The causes of what was accepted, the worst first.

    Args:
        findings: of one client.
        stack: what it is made of, as it is told in a report.
        control: what it did with the genuine certificate, if that is known.
    """
    accepted = [finding for finding in findings if finding.outcome == "vulnerable"]
    # A client may verify in TLS 1.3 alone.
    newer = {f.case.name for f in accepted if not _is_twin(f)}
    old = [f for f in accepted if _is_twin(f) and plain_name(f.case.name) not in newer]
    either = [f for f in accepted if not _is_twin(f) or plain_name(f.case.name) in newer]
    exposed = [each for each in accepted if _exposed(each)]
    # Of one certificate alone the control may not be at hand.
    without = _exposed(control) if control else not any(map(_tried_tls, exposed))
    sorter = _Sorter([f for f in findings if not _is_twin(f)], stack)
    causes = sorter.whole("no-tls" if without else "plaintext-fallback", exposed)
    encrypted = [f for f in either if not _exposed(f)]
    causes += sorter.sort([f for f in encrypted if f.case.family != "sequence"])
    causes = sorter.sequences(causes, [f for f in encrypted if f.case.family == "sequence"])
    sorter = _Sorter([f for f in findings if _is_twin(f)], stack, " over TLS 1.2")
    causes += sorter.sort([f for f in old if not _exposed(f)])
    return tuple(sorted(causes, key=lambda c: (SEVERITIES.index(c.severity), _PLACES[c.name])))


def _is_twin(finding: Finding) -> bool:
    return finding.case.name.endswith(TWIN)


def _exposed(finding: Finding) -> bool:
    return finding.observation is not None and finding.observation.act == "exposed"


def _tried_tls(finding: Finding) -> bool:
    """Whether one that sent its data in plaintext had begun with TLS."""
    ends = finding.evidence.connections if finding.evidence else ()
    return finding.case.family == "protocol" or any(end.reached == "nothing" for end in ends)


class _Group(NamedTuple):
    """What was accepted and what was refused of one kind."""

    accepted: list[Finding]
    refused: list[Finding]


class _Sorter:
    """Sorts what a client has accepted into causes."""

    def __init__(self, findings: Sequence[Finding], stack: str, where: str = "") -> None:
        self._where = where
        self._stack = kind_of_stack(stack)
        self._refused = [
            each for each in findings if each.outcome == "pass" and each.case.expect == "reject"
        ]

    def sort(self, accepted: list[Finding]) -> list[Cause]:
        """The causes of what was accepted over TLS."""
        groups = {
            name: _Group(_of(name, accepted), _of(name, self._refused))
            for name in _ORDER
            if _of(name, accepted)
        }
        if self._verifies_nothing(groups):
            proof = [f for name in _PROOF_OF_NONE for f in _take(groups, name)]
            follows = [f for name in _OF_THE_PATH for f in _take(groups, name)]
            rest = [c for name, group in groups.items() for c in self._parts(name, group.accepted)]
            return [*self.whole("no-verification", proof, follows), *rest]
        causes = []
        if self._unchecked("untrusted-path", groups):
            proof = _take(groups, "untrusted-path") + _take(groups, "no-signature-check")
            follows = [f for name in _OF_THE_PATH for f in _take(groups, name)]
            if not self._unchecked("lenient-dates", groups):
                follows += _take(groups, "lenient-dates")
            causes += self.whole("any-issuer", proof, follows)
        for partial in ("lenient-names", "lenient-dates"):
            if self._unchecked(partial, groups):
                causes += self.whole(_UNCHECKED[partial], _take(groups, partial))
        return causes + [
            cause for name, group in groups.items() for cause in self._parts(name, group.accepted)
        ]

    def sequences(self, causes: list[Cause], accepted: list[Finding]) -> list[Cause]:
        """The causes, with what was accepted over several connections.

        Where a forgery is accepted on any connection, that it was on this one is no news.
        """
        rest = []
        for finding in accepted:
            name = _forgery(finding)
            why = (n for n, cause in enumerate(causes) if name in _names(cause.findings))
            if (at := next(why, None)) is None:
                rest.append(finding)
            else:
                follows = (*causes[at].follows, finding)
                causes[at] = msgspec.structs.replace(causes[at], follows=follows)
        kinds: dict[CauseName, list[Finding]] = {}
        for finding in rest:
            # Whoever resumed nothing has not verified.
            not_resumed = _kind(finding.case) == "resumption" and not _resumed(finding)
            kind = "each-connection" if not_resumed else _kind(finding.case)
            kinds.setdefault(kind, []).append(finding)
        return causes + [c for kind, group in kinds.items() for c in self.whole(kind, group)]

    def _unchecked(self, partial: CauseName, groups: dict[CauseName, _Group]) -> bool:
        """Whether the check is not made at all."""
        if partial not in groups:
            return False
        needed, others = _PLAIN[_UNCHECKED[partial]]
        accepted, refused = (_names(part) for part in groups[partial])
        return needed <= accepted and not others & refused

    def _verifies_nothing(self, groups: dict[CauseName, _Group]) -> bool:
        if not all(self._unchecked(partial, groups) for partial in _UNCHECKED):
            return False
        refused = [f for name in _VERIFICATION for f in _of(name, self._refused)]
        binding = _names(f for f in refused if f.case.severity == "must")
        return not binding - _ODD

    def whole(
        self, name: CauseName, proof: Sequence[Finding], follows: Sequence[Finding] = ()
    ) -> list[Cause]:
        """One cause of all these; none if there are none."""
        if not proof:
            return []
        # What binds every client tells most, and its fix is the one to begin with.
        proof = sorted(proof, key=lambda each: SEVERITIES.index(each.case.severity))
        plain = set().union(*(needed for needed, _ in _PLAIN.values()))
        ordered = sorted(proof, key=lambda each: plain_name(each.case.name) not in plain)
        severity = min((each.case.severity for each in proof), key=SEVERITIES.index)
        says = f"this {proof[0].noun} {_SAYS[name]}{self._where}"
        fix = fix_of(name, self._stack) or fix_of(name, "") or _own_fix(proof)
        return [Cause(name, says, fix, severity, tuple(ordered), tuple(follows))]

    def _parts(self, name: CauseName, accepted: list[Finding]) -> list[Cause]:
        """A check that is made, but not well: what binds every client, apart from the rest."""
        return [
            self._part(name, part, severity)
            for severity in SEVERITIES
            for part in _by_fix(name, [f for f in accepted if f.case.severity == severity])
        ]

    def _part(self, name: CauseName, part: list[Finding], severity: Severity) -> Cause:
        said = _SAYS[name] if severity == "must" else _SAYS_OF_SOUND.get(name, _SAYS[name])
        says = f"this {part[0].noun} {said}{self._where}"
        own = _own_fix(part) if len(part) == 1 else ""
        fix = fix_of(name, self._stack) or own or fix_of(name, "") or _own_fix(part)
        names = _names(part)
        reasons = NO_SWITCH.get(self._stack, {})
        if names <= set().union(*reasons):
            fix = "; ".join(said for about, said in reasons.items() if names & about)
        return Cause(name, says, fix, severity, tuple(part))


def _names(findings: Iterable[Finding]) -> set[str]:
    return {plain_name(finding.case.name) for finding in findings}


def _of(name: CauseName, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if _kind(finding.case) == name]


def _take(groups: dict[CauseName, _Group], name: CauseName) -> list[Finding]:
    group = groups.pop(name, None)
    return group.accepted if group else []


def _by_fix(name: CauseName, findings: list[Finding]) -> list[list[Finding]]:
    """Of what has no fix in common, that which is mended alike is one cause."""
    if name not in ("offer", "other"):
        return [findings] if findings else []
    fixes = dict.fromkeys(finding.case.fix for finding in findings)
    return [[finding for finding in findings if finding.case.fix == fix] for fix in fixes]


def _own_fix(findings: Sequence[Finding]) -> str:
    return next((finding.case.fix for finding in findings if finding.case.fix), "")


def _forgery(finding: Finding) -> str:
    """What the client was shown on the connection on which it gave in."""
    return given_in(finding.evidence.connections).certificate if finding.evidence else ""


def _resumed(finding: Finding) -> bool:
    return finding.evidence is not None and given_in(finding.evidence.connections).resumed


def _of_steps(attack: Attack | None) -> CauseName:
    """What is wrong with a client that does not come out of an attack, and verifies otherwise."""
    if attack is None or not attack.plays:
        return "each-connection"
    if attack.resume:
        return "resumption"
    if all(any(step.handshake != "complete" for step in steps) for steps in attack.plays):
        return "failed-handshake"
    first = [steps[0] for steps in attack.plays]
    return "early-trust" if all(step.present != GENUINE for step in first) else "each-connection"


def _kind(case: Case) -> CauseName:
    """What is wrong with a client that makes all checks but the one that this certificate needs."""
    weaknesses = set(case.cwe)
    match case.family:
        case "trust" if _EXTRANEOUS in weaknesses:
            return "other-roots"
        case "trust":
            return "no-possession" if _ENTITY in weaknesses else "untrusted-path"
        case "name":
            return "lenient-names"
        case "time":
            return "lenient-dates"
        case "authority":
            return "ca-limits"
        case "purpose":
            return "purpose"
        case "configuration":
            return "fails-open"
        case "sequence":
            return _of_steps(case.attack)
        case "offer":
            return "offer"
        case "protocol":
            return "no-alpn" if _BEHAVIOUR in weaknesses else "old-protocol"
        case "cryptography" if _SIGNATURE in weaknesses:
            return "no-signature-check"
        case "cryptography" if _WEAK & weaknesses:
            return "weak-cryptography"
        case "cryptography":
            return "no-revocation" if _REVOCATION in weaknesses else "not-understood"
    return "other"
