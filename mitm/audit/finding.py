"""What came of trying one certificate on a client, and of all of them: pure functions."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from mitm.audit.attack import Attack
from mitm.audit.case import CONTROL, Case
from mitm.audit.offer import OfferRule, judge_offers
from mitm.audit.play import Play, Position
from mitm.audit.scope import Scope
from mitm.audit.servers.answer import Answer
from mitm.evidence import (
    ClientRun,
    Ending,
    Evidence,
    Kind,
    Observation,
    Observer,
    describe,
    not_attacked,
)
from mitm.programs import A_PANIC

Outcome = Literal[
    "pass",
    "vulnerable",
    "too-strict",
    "unsupported",
    "not-exercised",
    "inconclusive",
    "crashed",
]
# What stands behind the name of a certificate that the client has crashed of.
CRASH = ":crash"
# The crash of a library that does not come back.
HUNG = "hanging"

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Subject(msgspec.Struct, frozen=True):
    """Who is audited.

    Attributes:
        name: of the program or the function.
        title: what it is, "" if nobody says.
        version: its own, "" if nobody says.
        policy: that it was told to follow, "" for its own.
        noun: what it is in a sentence.
        stack: what it makes its calls with, by its own word and by what is installed; "" if that is
            not known.
    """

    name: str
    title: str = ""
    version: str = ""
    policy: str = ""
    noun: str = "client"
    stack: str = ""

    def __str__(self) -> str:
        """All that is known of it, for a heading."""
        version = f" {self.version}" if self.version else ""
        policy = f", policy {self.policy}" if self.policy else ""
        return f"{self.title or self.name}{version}{policy}"


class Finding(msgspec.Struct, frozen=True):
    """What came of one certificate.

    Attributes:
        reason: in one sentence.
        observation: what the client did, None if it was not tried.
        said: the client's last words.
        crash: what ended its program in the place of its own code, "" if nothing did.
        noun: what was audited, in a sentence.
        last_lines: the last few that its program has printed.
        answer: of a server that was probed; None of a client.
    """

    case: Case
    outcome: Outcome
    reason: str
    observation: Observation | None = None
    said: str = ""
    crash: str = ""
    noun: str = "client"
    last_lines: tuple[str, ...] = ()
    answer: Answer | None = None

    @property
    def evidence(self) -> Evidence | None:
        """What the client gave away, None if it was not tried."""
        return self.observation.evidence if self.observation else None

    @property
    def fix(self) -> str:
        """What to change in the client, "" if there is nothing to mend in it."""
        return self.case.fix if self.outcome in ("vulnerable", "crashed") else ""

    def fails(self, *, strict: bool = False) -> bool:
        """Whether a build should fail for it.

        Args:
            strict: count what good clients do as well, and clients that are too strict.
        """
        if self.outcome in ("vulnerable", "crashed"):
            return self.case.severity == "must" or (strict and self.case.severity == "should")
        return strict and self.outcome == "too-strict" and self.case.severity != "info"


class Report(msgspec.Struct, frozen=True):
    """What came of an audit.

    Attributes:
        controls: the genuine certificate, tried first and again at the end.
        findings: one for each certificate, in the order of their names, and behind it one for the
            crash that it caused, if it did.
        subject: who was audited.
        doubts: what may be wrong with how the client was run, if a control failed.
        problem: why the audit is not whole, whatever came of the certificates; "" if it is.
        scope: what was tried; None if nobody says.
        in_session: whether a test suite has run the client, and so told it what it is told.
    """

    controls: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    subject: Subject
    doubts: tuple[str, ...] = ()
    problem: str = ""
    scope: Scope | None = None
    in_session: bool = False

    @property
    def conclusive(self) -> bool:
        """Whether the client got through with the genuine certificate, first and last."""
        return len(self.controls) == 2 and all(c.outcome == "pass" for c in self.controls)

    def failing(self, *, strict: bool = False) -> list[Finding]:
        """The findings that a build should fail for."""
        return [finding for finding in self.findings if finding.fails(strict=strict)]

    def undecided(self) -> list[Finding]:
        """The certificates that every client must judge, and of which nothing can be said."""
        return [
            finding
            for finding in self.findings
            if finding.outcome == "inconclusive" and finding.case.severity == "must"
        ]

    def count(self, outcome: Outcome) -> int:
        """How many certificates came to an outcome."""
        return sum(finding.outcome == outcome for finding in self.findings)


def judge(
    case: Case,
    observer: Observer,
    client: ClientRun,
    control: Observation | None = None,
    play: Play | None = None,
    *,
    positions_covered: bool = False,
    complete: bool = True,
) -> Finding:
    """Say what came of a certificate: what the client did, held against what a correct one does.

    What it did is decided in `mitm.evidence`, here and for scenarios alike. The table that makes
    an outcome of it is in docs/verdicts.md.

    Args:
        case: what it was shown.
        observer: has seen all that the interceptor saw.
        client: what is known of the client's run.
        control: what it did with the genuine certificate; None if this is the control.
        play: of an attack.
        positions_covered: whether each of its connections is attacked by itself, elsewhere: then
            nothing is missing where it stopped at the first.
        complete: whether the client has come to the last step of the play.
    """
    fault = case.attack.ca if case.attack else None
    if fault:
        # To end in whatever way is what it should do.
        client = msgspec.structs.replace(client, problem="", crash="")
    observation = observer.observation(client, control)
    outcome, reason = outcome_of(case, observation, client, observer.noun)
    cleared = outcome == "pass" and case.expect == "reject"
    if fault:
        outcome, reason = of_fault(observation, outcome, reason, client)
    elif case.attack and play:
        outcome, reason = of_attack(case.attack, play, observation, outcome, reason, client)
        if outcome == "pass" and not complete and not play.turns_away:
            outcome, reason = "not-exercised", "it did not come again after it had left"
    elif (
        cleared
        and control
        and not positions_covered
        and (missed := not_attacked(control, observation))
    ):
        outcome, reason = "inconclusive", _not_attacked(control, missed, reason)
    client = client.without_secrets(observation.secrets).shortened()
    if observation.act == "unreached" and client.said and client.said not in reason:
        reason += f" ({client.said})"
    crash = "" if fault else client.crash or (HUNG if observation.hung else "")
    return Finding(
        case,
        outcome,
        reason,
        observation,
        client.said,
        crash,
        observer.noun,
        client.last_lines,
    )


def judge_offer(case: Case, rule: OfferRule, control: Observation) -> Finding:
    """Say what came of a rule about what a client offers.

    Args:
        case: made of the rule.
        rule: the same.
        control: what the client did with the genuine certificate.
    """
    kept, reason = judge_offers(rule, control.offers, case.dialled.server_name)
    if kept is None:
        return Finding(case, "not-exercised", reason)
    return Finding(case, "pass" if kept else "vulnerable", reason)


def outcome_of(
    case: Case, observation: Observation, client: ClientRun, noun: str = "client"
) -> tuple[Outcome, str]:
    match observation.act:
        case "sent" | "exposed":
            how = "accepted"
            if observation.act == "exposed":
                how = "no encryption: asked for no certificate"
            if case.expect == "reject":
                return "vulnerable", f"{how}; read: {describe(observation.evidence)}"
            if not observation.called:
                return "inconclusive", f"{how}, but no call was made: make it send a request"
            return "pass", how
        case "rejected":
            how = f"rejected: {observation.reason}"
            if case.expect == "accept":
                return "too-strict", how
            if client.crash:
                return "pass", f"{how}; and it crashed: {client.crash}"
            # In an attack, it may have succeeded on another connection.
            if client.over and not client.failed and case.attack is None:
                how += f"; yet the {noun} reports success"
            return "pass", how
        case "declined":
            return "unsupported", observation.reason
        case "untried":
            return "not-exercised", observation.reason
    return "inconclusive", observation.reason


def of_fault(
    observation: Observation,
    outcome: Outcome,
    reason: str,
    client: ClientRun,
) -> tuple[Outcome, str]:
    """What came of a client that was not told whom to trust: whatever it sends is too much.

    It need not connect, nor decide on what it would be shown: it may end, also by an exception.
    """
    endings = observation.evidence.connections
    if outcome == "vulnerable":
        shown = next((e.certificate for e in endings if e.reached != "nothing"), "")
        return outcome, f"shown {shown}: {reason}" if shown else reason
    if observation.act not in ("unreached", "undecided") or client.left_behind:
        return outcome, reason
    # Nobody but itself has kept it from going on.
    by_itself = all(each.by == "client" and each.reached == "nothing" for each in endings)
    # Some wait for a file that they can use, and would for ever.
    waits = client.end == "still-running" and not any(each.certificate for each in endings)
    if by_itself and waits:
        return "pass", f"fails closed: it sent nothing in the {client.seconds:g} s that it had"
    if by_itself and client.over:
        return "pass", f"fails closed: {reason}"
    return outcome, reason


def of_attack(
    attack: Attack,
    play: Play,
    observation: Observation,
    outcome: Outcome,
    reason: str,
    client: ClientRun,
) -> tuple[Outcome, str]:
    """What came of one play of an attack, by what came of the connections that were attacked."""
    endings = observation.evidence.connections
    if outcome == "vulnerable":
        return outcome, f"{_where(given_in(endings), play)}: {reason}"
    if outcome != "pass":
        return outcome, reason
    if attack.resume and not any(each.resumed for each in endings):
        return "not-exercised", f"it resumed no session ({reason})"
    if play.ends_genuine and client.failed:
        after = [each for each in endings if each.certificate == CONTROL]
        if after and all(each.by == "client" and not each.accepted for each in after):
            return "too-strict", (
                "what it refused keeps it from the genuine certificate, on the next connection"
            )
    return outcome, reason


def given_in(endings: Sequence[Ending]) -> Ending:
    """The first connection on which the client gave in."""
    attacked = [each for each in endings if each.certificate != CONTROL]
    # In plaintext, HTTP/2's opening is over the line as well.
    said = [each for each in attacked if each.reached not in ("nothing", "preface")]
    return next(iter(said or [each for each in attacked if each.reached != "nothing"]))


def _where(ending: Ending, play: Play) -> str:
    """On which connection it was, and what the client was shown there."""
    where = str(play.position) if play.position else f"connection {ending.connection}"
    if not ending.certificate:
        return f"{where}, without TLS"
    return f"{where}, shown {ending.certificate}" + (", resumed" if ending.resumed else "")


def of_plays(case: Case, findings: Sequence[tuple[Play, Finding]]) -> Finding:
    """What came of an attack, by what came of its plays.

    One that succeeds decides. One that could not be decided leaves the attack undecided, and so
    does a connection of the client's own that carries data and was never attacked.
    """
    for outcome in ("vulnerable", "inconclusive", "too-strict"):
        for _, finding in findings:
            if finding.outcome == outcome:
                return finding
    passed = [finding for _, finding in findings if finding.outcome == "pass"]
    for play, finding in findings:
        position = play.position
        if finding.outcome != "not-exercised" or position is None or _was_late(position, finding):
            continue
        if position.carries_data:
            reason = f"{position}, which carries data, did not come again: {finding.reason}"
            return msgspec.structs.replace(finding, outcome="inconclusive", reason=reason)
    if passed:
        return passed[0]
    if not findings:
        return Finding(case, "not-exercised", ONE_CONNECTION)
    return findings[0][1]


def _was_late(position: Position, finding: Finding) -> bool:
    """Whether it is one of a loop's connections, of which the clock alone says how many come."""
    ran_on = finding.observation is not None and finding.observation.end == "still-running"
    return ran_on and position.nth > 1 and not position.total


TRY_EACH_POSITION = "try at-position as well"
ONE_CONNECTION = "the client makes one connection, which each certificate has attacked already"


def _not_attacked(control: Observation, missed: Sequence[Kind], reason: str) -> str:
    protocols = " and ".join(dict.fromkeys(kind.protocol for kind in missed))
    return (
        f"{reason}; but with the genuine certificate it makes {len(control.made)} connections, and "
        f"of one ({protocols}) nothing is proved: it was not attacked ({TRY_EACH_POSITION})"
    )


def with_crashes(findings: Iterable[Finding], usual: Collection[str] = ()) -> Iterator[Finding]:
    """Each finding, and behind one that ended the client's program another that says so.

    A certificate is a stranger's input. A client that is ended by it has let nobody in, and is at
    the mercy of whoever shows it one.

    Args:
        findings: one for each certificate.
        usual: crashes with which the client ends after the genuine certificate, too: these are
            not the others' doing.
    """
    findings = list(findings)
    usual = {*usual, *_crashes_at_the_end(findings)}
    for finding in findings:
        yield finding
        if finding.crash and finding.crash not in usual:
            yield Finding(
                _crash(finding.case, finding.crash),
                "crashed",
                _how_it_crashed(finding.crash),
                finding.observation,
                finding.said,
                noun=finding.noun,
            )


def _crashes_at_the_end(findings: Iterable[Finding]) -> Iterator[str]:
    """Those that came when calls were done: some runtimes end so now and then, whatever was shown.

    One alone may be the certificate's: of what a library does when it is done with it.
    """
    done = (f for f in findings if f.case.expect == "accept" and f.outcome == "pass")
    for crash, count in Counter(f.crash for f in done if f.crash).items():
        if count > 1:
            yield crash


def _how_it_crashed(crash: str) -> str:
    if crash == HUNG:
        return "it was shown the certificate, and neither went on nor left in all its time"
    return f"it was shown the certificate, and ended by {crash}"


def _crash(case: Case, crash: str) -> Case:
    fix = (
        "Update the TLS library, and tell its maintainers privately; a client that must go on "
        "makes its calls in a process that may die"
    )
    if crash == A_PANIC:
        fix = (
            "Handle the error where the client unwraps it or panics; if that is not the client's "
            "own code, update the TLS library, and tell its maintainers privately"
        )
    return msgspec.structs.replace(
        case,
        name=f"{case.name}{CRASH}",
        title=f"A crash, shown: {case.title[:1].lower()}{case.title[1:]}",
        expect="reject",
        severity="should",
        cwe=(248, 617),
        rule="CWE-617, CWE-248: what a stranger sends must not end the program",
        fix=fix,
    )
