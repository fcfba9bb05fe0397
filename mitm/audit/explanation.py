"""A finding and a report in plain text, for whoever has to mend the client."""

import textwrap

from mitm.audit.case import Case
from mitm.audit.finding import Finding, Report

_WIDTH = 98
_LABEL = 11


def explain(finding: Finding) -> str:
    """What a client did with one certificate, what it should have done, why, and how to mend it."""
    case = finding.case
    expected = "leaves before it has sent anything" if case.expect == "reject" else "gets through"
    rows = {
        "expected": f"a client {expected} ({describe_weight(case)})",
        "happened": finding.reason,
        "rule": case.rule,
        "fix": case.fix if finding.outcome == "vulnerable" else "",
        "lesson": _first_paragraph(case.lesson),
        "more": f"mitm-demo show {case.name}",
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
    if not report.conclusive:
        return explain_control(report.controls[-1])
    failing = report.failing(strict=strict)
    undecided = report.undecided()
    if not failing and not undecided:
        return ""
    accepted = [f for f in failing if f.outcome == "vulnerable"]
    refused = [f for f in failing if f.outcome == "too-strict"]
    told = []
    if accepted:
        told.append(f"The client accepts {_count(accepted)} that it must reject.")
    if refused:
        told.append(f"The client rejects {_count(refused)} that it must accept.")
    if undecided:
        told.append(f"Nothing can be said of {_count(undecided)}.")
    counts = ", ".join(
        f"{report.count(outcome)} {outcome}"
        for outcome in ("pass", "vulnerable", "too-strict", "unsupported", "inconclusive")
        if report.count(outcome)
    )
    told.append(f"It gets through with the genuine one. Of {len(report.findings)}: {counts}.")
    return "\n\n".join([" ".join(told), *map(explain, accepted + refused + undecided)])


def explain_control(control: Finding) -> str:
    """Why nothing is proved if the genuine certificate came to anything but `pass`."""
    return (
        "Nothing is proved: the client does not get through with the genuine certificate.\n"
        f"{_row('happened', control.reason)}\n"
        + _row(
            "fix", "let the client connect to the target that it is given, and trust its CA file"
        )
    )


def remarks(report: Report, *, strict: bool = False) -> list[str]:
    """What a build should not fail for, but its owner should know: one line a certificate."""
    failing = {f.case.name for f in report.failing(strict=strict) + report.undecided()}
    return [
        remark(finding)
        for finding in report.findings
        if finding.outcome != "pass" and finding.case.name not in failing
    ]


def remark(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.case.name}: {finding.outcome} ({finding.case.severity}): {finding.reason}"


def describe_weight(case: Case) -> str:
    """How far a case binds, and its weaknesses: `must, CWE-295`."""
    return ", ".join([case.severity, *(f"CWE-{number}" for number in case.cwe)])


def _count(findings: list[Finding]) -> str:
    return f"{len(findings)} certificate{'s' if len(findings) != 1 else ''}"


def _row(label: str, text: str) -> str:
    indent = " " * (_LABEL + 2)
    first = f"  {label:<{_LABEL}}"
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _first_paragraph(lesson: str) -> str:
    paragraphs = (p.strip() for p in lesson.split("\n\n"))
    return " ".join(next((p for p in paragraphs if p and not p.startswith("#")), "").split())
