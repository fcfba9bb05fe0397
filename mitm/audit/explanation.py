"""A finding and a report in plain text, for whoever has to mend the client."""

import textwrap

from mitm.audit.case import Case
from mitm.audit.conclusion import conclude
from mitm.audit.finding import OUTCOMES, Finding, Report
from mitm.masking import plain

_WIDTH = 98
_LABEL = 12


def explain(finding: Finding) -> str:
    """What a client did with one certificate, what it should have done, why, and how to mend it."""
    case = finding.case
    expected = "leaves before it has sent anything" if case.expect == "reject" else "gets through"
    if finding.outcome == "crashed":
        expected = "refuses it, and goes on"
    rows = {
        "expected": f"a {finding.noun} {expected} ({describe_weight(case)})",
        "happened": finding.reason,
        f"{finding.noun} said": _said(finding) if finding.outcome != "vulnerable" else "",
        "rule": case.rule,
        "fix": finding.fix,
        "lesson": _first_paragraph(case.lesson),
        "more": f"mitm-demo show {case.name.partition(':')[0]}",
    }
    lines = [f"{case.name}: {case.title}"]
    lines += [_row(label, text) for label, text in rows.items() if text]
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
        return explain_control(report.controls[-1])
    counts = ", ".join(
        f"{report.count(outcome)} {outcome}" for outcome in OUTCOMES if report.count(outcome)
    )
    head = [
        f"{conclusion.reason}.",
        f"The {report.subject.noun} gets through with the genuine certificate. "
        f"With the others: {counts}.",
    ]
    told = report.failing(strict=strict) + report.undecided()
    return "\n\n".join(["\n".join(textwrap.fill(t, _WIDTH) for t in head), *map(explain, told)])


def explain_control(control: Finding) -> str:
    """Why nothing is proved if the genuine certificate came to anything but `pass`."""
    who = control.noun
    fix = f"let the {who} connect to the target that it is given, and trust its CA file"
    rows = {"happened": control.reason, f"{who} said": _said(control), "fix": fix}
    head = f"Nothing is proved: the {who} does not get through with the genuine certificate."
    return "\n".join([head, *(_row(label, text) for label, text in rows.items() if text)])


def remarks(report: Report, *, strict: bool = False) -> list[str]:
    """What a build should not fail for, but the client's owner should know, in lines."""
    told = {finding.case.name for finding in report.failing(strict=strict)}
    lines = [
        line
        for finding in report.findings
        if finding.case.name not in told and (line := remark(finding))
    ]
    unsupported = [finding for finding in report.findings if finding.outcome == "unsupported"]
    if unsupported:
        names = ", ".join(finding.case.name for finding in unsupported)
        lines.append(plain(f"not presented: {names}: {unsupported[0].reason}"))
    return lines


def remark(finding: Finding) -> str:
    """A finding in one line; "" for those that nobody has to do anything about."""
    case = finding.case
    # Sound clients differ in what is for information alone.
    if finding.outcome in ("pass", "unsupported") or case.severity == "info":
        return ""
    return plain(f"{case.name}: {finding.outcome} ({case.severity}): {finding.reason}")


def describe_weight(case: Case) -> str:
    """How far a case binds, and its weaknesses: `must, CWE-295`."""
    return ", ".join([case.severity, *(f"CWE-{number}" for number in case.cwe)])


def _said(finding: Finding) -> str:
    return finding.said if finding.said not in finding.reason else ""


def _row(label: str, text: str) -> str:
    indent = " " * (_LABEL + 2)
    first = f"  {label:<{_LABEL}}"
    return textwrap.fill(
        plain(text), _WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _first_paragraph(lesson: str) -> str:
    paragraphs = (p.strip() for p in lesson.split("\n\n"))
    return " ".join(next((p for p in paragraphs if p and not p.startswith("#")), "").split())
