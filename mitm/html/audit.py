"""The report of an audit, or of a probe, as a page: what fails first, by its cause."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple, Protocol

from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion, ExitCode
from mitm.audit.explanation import (
    describe_weight,
    further_lines,
    lesson_of,
    proved_by,
    unexercised,
    untried,
)
from mitm.audit.finding import OUTCOMES, Finding, Outcome, Report
from mitm.audit.setting import LONG_NAME
from mitm.audit.stack import kind_of_stack
from mitm.audit.wording import words_for
from mitm.evidence import Ending, method_of
from mitm.html.page import page
from mitm.pki.recipe import FAMILIES

Mood = Literal["harm", "caution", "good", "quiet"]

# Of one certificate, connections that went differently, and calls that differ.
_MOST = 5

# Certificates of a cause that are tried again by one command.
_AGAIN = 8

_VERDICTS: dict[ExitCode, tuple[str, Mood]] = {
    0: ("Passed", "good"),
    1: ("Failed", "harm"),
    3: ("Nothing is proved", "caution"),
}
# What has no cause besides itself, and the heading of what no build fails for.
_ALONE: dict[Outcome, str] = {
    "crashed": "Crashed: it ended the program, or hung it",
    "too-strict": "",
}


class Again(Protocol):
    """How an audit is run again."""

    def of(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        """The command that tries these alone, in words of a shell; () if it is not known."""
        ...

    @property
    def whole(self) -> tuple[str, ...]:
        """The command that tries everything again; () if it is not known."""
        ...

    @property
    def left_out(self) -> bool:
        """Whether a secret is missing in it, which the reader has to put back."""
        ...


class Seen(NamedTuple):
    """One certificate, and what came of it.

    Attributes:
        weight: how far it binds, and its weaknesses.
        connections: what happened on them, in lines, each of which is told once.
        calls: that were read, each with the lines of its metadata; credentials are masked.
    """

    name: str
    title: str
    weight: str
    rule: str
    reason: str
    said: str
    connections: list[str]
    calls: list[tuple[str, tuple[str, ...]]]


class Family(NamedTuple):
    """Certificates of one family."""

    name: str
    seen: list[Seen]


class Problem(NamedTuple):
    """One thing that is wrong, however many certificates prove it.

    Attributes:
        proved: by how much, in words.
        families: what proves it.
        follows: what is accepted for the same reason.
        again: the command that tries this alone.
        lesson: of the plainest proof, as Markdown.
        show: the command that shows that; "" if there is none.
    """

    says: str
    mood: Mood
    severity: str
    proved: str
    fix: str
    families: list[Family]
    follows: list[Family]
    again: tuple[str, ...]
    lesson: str
    show: str

    @property
    def plainest(self) -> Seen:
        """What shows it best."""
        return self.families[0].seen[0]


def audit_page(report: Report, conclusion: Conclusion, again: Again | None = None) -> str:
    """The page of a report.

    Args:
        report: of an audit, or of a probe.
        conclusion: what it comes to.
        again: how it is run again; None if that is not known.
    """
    causes = find_causes(report)
    failing = {*conclusion.failing}
    fails = [c for c in causes if failing & _names(c.findings)]
    known = [c for c in causes if c not in fails and {*conclusion.known} & _names(c.findings)]
    others = [c for c in causes if c not in fails and c not in known]
    # Where a control failed, what was read was read all the same.
    loose = [] if causes else [f for f in report.findings if f.outcome == "vulnerable"]
    alone = [f for f in report.findings if f.outcome in _ALONE]
    counted = {*conclusion.failing, *conclusion.known}
    words = words_for(report.subject)
    verdict, mood = _VERDICTS[conclusion.exit_code]
    if conclusion.exit_code == 0 and conclusion.known:
        # A build passes; what is known is wrong all the same.
        verdict, mood = "Nothing new fails", "caution"
    told = [(outcome, report.count(outcome)) for outcome in OUTCOMES if report.count(outcome)]
    return page(
        "audit.html",
        "report.css",
        words=words,
        subject=report.subject,
        kind=kind_of_stack(report.subject.stack),
        noun=report.subject.noun,
        conclusion=conclusion,
        verdict=verdict,
        mood=mood,
        counts=told,
        tried=len(report.findings),
        controls=[_seen(each) for each in report.controls],
        conclusive=report.conclusive,
        outcomes=[each.outcome for each in report.controls],
        last_lines=[line for each in report.controls for line in further_lines(each)],
        fails=[_problem(c, again) for c in fails]
        + [_by_itself(f, again) for f in alone if f.case.name in failing],
        known=[_problem(c, again) for c in known]
        + [_by_itself(f, again) for f in alone if f.case.name in conclusion.known],
        others=[_problem(c, again) for c in others],
        rest=[
            (title or words.too_strict, _families(some))
            for outcome, title in _ALONE.items()
            if (some := [f for f in alone if f.outcome == outcome and f.case.name not in counted])
        ],
        loose=_families(loose),
        undecided=_families(f for f in report.findings if f.outcome == "inconclusive"),
        passed=_families(f for f in report.findings if f.outcome == "pass"),
        untried=untried(report.findings, f"--name {LONG_NAME}"),
        unexercised=unexercised(report.findings),
        again=again,
        scope=report.scope,
    )


def _names(findings: Iterable[Finding]) -> set[str]:
    return {finding.case.name for finding in findings}


def _problem(cause: Cause, again: Again | None) -> Problem:
    return Problem(
        cause.says,
        "harm" if cause.severity == "must" else "caution",
        cause.severity,
        proved_by(cause),
        cause.fix,
        _families(cause.proof, plainest=cause.proof[0]),
        _families(cause.follows),
        again.of(cause.proof[:_AGAIN]) if again else (),
        cause.proof[0].case.lesson,
        lesson_of(cause.proof[0].case),
    )


def _by_itself(finding: Finding, again: Again | None) -> Problem:
    """What has no cause besides itself: a crash, or something sound that was refused."""
    words = {"crashed": "is ended, or hung, by this", "too-strict": "refuses what is sound"}
    return Problem(
        f"this {finding.noun} {words.get(finding.outcome, finding.outcome)}: {finding.case.title}",
        "harm" if finding.outcome == "crashed" else "caution",
        finding.case.severity,
        "",
        finding.fix,
        _families([finding]),
        [],
        again.of([finding]) if again else (),
        finding.case.lesson,
        lesson_of(finding.case),
    )


def _families(findings: Iterable[Finding], plainest: Finding | None = None) -> list[Family]:
    """Findings by family; the one that holds the plainest, and that in it, comes first."""

    def place(finding: Finding) -> tuple[bool, int]:
        family = finding.case.family
        first = plainest is not None and family == plainest.case.family
        return not first, FAMILIES.index(family)

    return [
        Family(name, [_seen(each) for each in alike])
        for name, alike in groupby(sorted(findings, key=place), key=lambda f: f.case.family)
    ]


def _seen(finding: Finding) -> Seen:
    case = finding.case
    evidence = finding.evidence
    connections = [_told(each) for each in evidence.connections] if evidence else []
    if finding.answer and finding.answer.how:
        connections = [finding.answer.how]
    calls = [
        # What the messages hold is left out: a login's password, for example.
        (method_of(call), tuple(f"{name}: {value}" for name, value in call.metadata.items()))
        for call in (evidence.calls if evidence else ())
    ]
    return Seen(
        case.name,
        case.title,
        describe_weight(case),
        case.rule,
        finding.reason,
        finding.said,
        list(dict.fromkeys(connections))[:_MOST],
        list(dict.fromkeys(calls))[:_MOST],
    )


def _told(ending: Ending) -> str:
    """What happened on a connection, in a line."""
    shown = f"shown {ending.certificate}: " if ending.certificate else ""
    if ending.resumed:
        shown = "resumed a session: "
    did = "completed the handshake" if ending.accepted else f"left in phase {ending.phase}"
    if not ending.certificate and not ending.resumed and ending.reached != "nothing":
        did = "without TLS"
    alert = f", alert {ending.alert}" if ending.alert else ""
    read = {"nothing": "sent nothing", "preface": "sent HTTP/2's opening alone"}.get(
        ending.reached, f"what was read: {ending.reached}"
    )
    return f"{shown}{did}{alert}; {read}"
