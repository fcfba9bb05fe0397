"""A finding and a report in plain text, for whoever has to mend the client."""

import re
import textwrap
from collections.abc import Sequence

from mitm import content
from mitm.audit.case import Case, plain_name
from mitm.audit.cause import Cause, causes_of, find_causes
from mitm.audit.conclusion import conclude, listed
from mitm.audit.finding import CRASH, OUTCOMES, Finding, Report
from mitm.audit.setting import LONG_NAME
from mitm.audit.stack import user_agent
from mitm.audit.wording import SERVER, words_for
from mitm.masking import plain

_WIDTH = 98
_LABEL = 12

# Names of certificates in one place, beyond which they are counted.
_NAMES = 100

# Reasons why certificates cannot be presented, beyond which they are counted as well.
_REASONS = 5

_CANNOT = "cannot be presented: "
_CLOCK = r"the clock at [\d:.T+-]+"

# Certificates that cannot be presented, beyond which none is named: there are thousands of them in
# x509-limbo, and one line says as much.
_MANY = 50


def explain(finding: Finding) -> str:
    """What a client did with one certificate, what it should have done, why, and how to mend it.

    What is wrong with the client comes first, as far as this certificate alone can tell.
    """
    case = finding.case
    cause = None
    if finding.noun != SERVER:
        cause = next(iter(causes_of([finding], user_agent(finding.evidence))), None)
    expected = "leaves before it has sent anything" if case.expect == "reject" else "gets through"
    if case.offer:
        expected = "keeps to the rule"
    if finding.noun == SERVER:
        expected = "turns it away" if case.expect == "reject" else "lets it in"
    if finding.outcome == "crashed":
        expected = "refuses it, and goes on"
    rows = {
        "expected": f"a {finding.noun} {expected} ({describe_weight(case)})",
        "happened": finding.reason,
        f"{finding.noun} said": _said(finding) if finding.outcome != "vulnerable" else "",
        "rule": case.rule,
        "fix": cause.fix if cause else finding.fix,
        "lesson": first_paragraph(case.lesson),
        "more": lesson_of(case),
    }
    title = plain(f"{case.name}: {case.title}")
    lines = [plain(f"{sentence(cause.says)}."), title] if cause else [title]
    lines += [row(label, text) for label, text in rows.items() if text]
    return "\n".join(lines)


def explain_failure(report: Report, *, strict: bool = False) -> str:
    """Why a build should fail for a report; "" if it should not.

    Args:
        report: of an audit.
        strict: see `Finding.fails`.
    """
    conclusion = conclude(report, strict=strict)
    if conclusion.exit_code == 0:
        return ""
    if not report.conclusive:
        return explain_control(report.controls[-1], report.doubts)
    counts = ", ".join(
        f"{report.count(outcome)} {outcome}" for outcome in OUTCOMES if report.count(outcome)
    )
    head = [
        f"{conclusion.reason}.",
        _through(report, counts),
    ]
    failing = report.failing(strict=strict)
    names = {finding.case.name for finding in failing}
    told = [
        _explain_cause(cause)
        for cause in find_causes(report)
        if names & {finding.case.name for finding in cause.findings}
    ]
    # Crashes, and under `strict` what is too strict.
    told += [explain(finding) for finding in failing if finding.outcome != "vulnerable"]
    told += _explain_undecided(report.undecided())
    return "\n\n".join(["\n".join(_filled(text) for text in head), *told])


def _through(report: Report, counts: str) -> str:
    if report.subject.noun == SERVER:
        return f"The server lets the good certificate in. Of the others: {counts}."
    return (
        f"The {report.subject.noun} gets through with the genuine certificate. "
        f"With the others: {counts}."
    )


def _explain_cause(cause: Cause) -> str:
    """What is wrong with a client, how to mend it, and what shows it."""
    worst = cause.proof[0]
    rows = {
        "fix": cause.fix,
        "happened": f"{worst.case.name}: {worst.reason}",
        "proof": _named(cause.proof),
        "and so": _named(cause.follows),
        "more": lesson_of(worst.case),
    }
    head = _filled(f"{sentence(cause.says)} ({proved_by(cause)}).")
    return "\n".join([head, *(row(label, text) for label, text in rows.items() if text)])


def _explain_undecided(undecided: Sequence[Finding]) -> list[str]:
    """Of what nothing can be said, those of which the reason is the same together."""
    reasons = dict.fromkeys(finding.reason for finding in undecided)
    groups = [[each for each in undecided if each.reason == reason] for reason in reasons]
    return [
        explain(alike[0])
        if len(alike) == 1
        else "\n".join([_filled(f"Undecided: {_named(alike)}"), row("reason", alike[0].reason)])
        for alike in groups
    ]


def proved_by(cause: Cause) -> str:
    """How many certificates prove a cause."""
    count = len(cause.proof)
    one = "way" if cause.proof[0].noun == SERVER else "certificate"
    said = f"{count} {one}s prove it" if count != 1 else f"1 {one} proves it"
    return f"{said}, {len(cause.follows)} more follow from it" if cause.follows else said


def untried(findings: Sequence[Finding], longer_name: str) -> list[str]:
    """What could not be presented, and what helps, in few lines.

    Args:
        findings: all of an audit.
        longer_name: how a user gives a longer name than that under test.
    """
    groups: dict[str, list[str]] = {}
    for finding in findings:
        if finding.outcome == "unsupported":
            groups.setdefault(_remedied(finding.reason, longer_name), []).append(finding.case.name)
    by_size = sorted(groups.items(), key=lambda group: -len(group[1]))
    total = sum(map(len, groups.values()))
    if total > _MANY:
        counted = [
            f"{reason.removeprefix(_CANNOT)} ({len(names)})" for reason, names in by_size[:_REASONS]
        ]
        others = f" and {len(by_size) - _REASONS} other reasons" if by_size[_REASONS:] else ""
        told = "; ".join(counted) + others
        return [plain(f"{total} of {len(findings)} {_CANNOT}{told}; see --json")]
    lines = [plain(f"{len(names)} {reason}: {listed(names)}") for reason, names in by_size]
    if len(lines) <= _REASONS + 1:
        return lines
    more = sum(len(names) for names in sorted(groups.values(), key=len)[: -_REASONS or None])
    reasons = len(lines) - _REASONS
    return [*lines[:_REASONS], f"{more} more, for {reasons} reasons: --json tells each"]


def unexercised(findings: Sequence[Finding]) -> list[str]:
    """What did not apply to this client, in one line for each reason."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        if finding.outcome == "not-exercised":
            groups.setdefault(finding.reason, []).append(finding.case.name)
    return [plain(f"{listed(names, _NAMES)}: {reason}") for reason, names in groups.items()]


def _remedied(reason: str, longer_name: str) -> str:
    """A reason with what helps against it, the same for all certificates that it helps."""
    if match := re.search(r"the name under test, (\S+), has too few labels", reason):
        return f"cannot be presented for {match[1]}: {longer_name}"
    # Each of x509-limbo's test cases has its own time.
    return f"{_CANNOT}{re.sub(_CLOCK, 'another clock', reason)}"


def lesson_of(case: Case) -> str:
    """The command that shows the lesson; "" for what is not of the catalogue."""
    name = plain_name(case.name.removesuffix(CRASH))
    return f"mitm-demo show {name}" if name in content.to_try() | content.ways() else ""


def explain_control(control: Finding, doubts: Sequence[str] = ()) -> str:
    """Why nothing is proved if the genuine certificate came to anything but `pass`.

    Args:
        control: what came of it.
        doubts: what may be wrong with how the client was run.
    """
    who = control.noun
    if who == SERVER:
        rows = [("happened", control.reason), *(("look at", text) for text in doubts)]
        head = "Nothing is proved: the server does not let the good certificate in."
        return "\n".join([head, *(row(label, text) for label, text in rows if text)])
    fix = f"let the {who} connect to the target that it is given, and trust its CA file"
    rows = [("happened", control.reason), (f"{who} said", _said(control))]
    rows += [("", line) for line in further_lines(control)]
    rows += [("fix", text) for text in doubts or (fix,)]
    head = f"Nothing is proved: the {who} does not get through with the genuine certificate."
    return "\n".join([head, *(row(label, text) for label, text in rows if text)])


def further_lines(control: Finding) -> tuple[str, ...]:
    """The last lines of a client that did not get through, beside the one that says why."""
    if control.outcome == "pass":
        return ()
    return tuple(line for line in control.last_lines if line not in control.said)


def remarks(report: Report, *, strict: bool = False) -> list[str]:
    """What a build should not fail for, but the client's owner should know, in lines."""
    told = {finding.case.name for finding in report.failing(strict=strict)}
    lines = []
    for cause in find_causes(report):
        names = {finding.case.name for finding in cause.findings}
        # Sound clients differ in what is for information alone.
        if cause.severity != "info" and not names & told:
            lines.append(
                plain(
                    f"{words_for(report.subject).differs} {_named(cause.findings)} "
                    f"({cause.severity}): "
                    f"{cause.says}: {cause.fix}"
                )
            )
        told |= names
    lines += [
        line
        for finding in report.findings
        if finding.case.name not in told and (line := remark(finding))
    ]
    lines += [f"not exercised: {line}" for line in unexercised(report.findings)]
    return lines + untried(report.findings, f"give a longer name, mitm_name {LONG_NAME}")


def remark(finding: Finding) -> str:
    """A finding in one line; "" for those that nobody has to do anything about."""
    case = finding.case
    # Sound clients differ in what is for information alone.
    if finding.outcome in ("pass", "unsupported", "not-exercised") or case.severity == "info":
        return ""
    who = "only stricter clients refuse it: " if finding.outcome == "vulnerable" else ""
    return plain(f"{case.name}: {finding.outcome} ({case.severity}): {who}{finding.reason}")


def describe_weight(case: Case) -> str:
    """How far a case binds, and its weaknesses: `must, CWE-295`."""
    return ", ".join([case.severity, *(f"CWE-{number}" for number in case.cwe)])


def sentence(text: str) -> str:
    """A text as the beginning of a sentence."""
    return plain(f"{text[:1].upper()}{text[1:]}")


def _named(findings: Sequence[Finding]) -> str:
    return listed([finding.case.name for finding in findings], _NAMES)


def _filled(text: str) -> str:
    return textwrap.fill(plain(text), _WIDTH, break_on_hyphens=False)


def _said(finding: Finding) -> str:
    return finding.said if finding.said not in finding.reason else ""


def row(label: str, text: str) -> str:
    """A line, or several, with what it is about in front."""
    indent = " " * (_LABEL + 2)
    first = f"  {plain(label):<{_LABEL}}"
    return textwrap.fill(
        plain(text), _WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def first_paragraph(lesson: str) -> str:
    """What a lesson begins with, in one line."""
    paragraphs = (p.strip() for p in lesson.split("\n\n"))
    first = next((p for p in paragraphs if p and not p.startswith("#")), "")
    return without_links(" ".join(first.split()))


def without_links(markdown: str) -> str:
    """A line of a lesson without its links, which lead to other files of the catalogue."""
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", markdown)
