"""What `audit` shows: the controls, the causes with their certificates, and what it comes to."""

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mitm import content
from mitm.audit import Finding, Report
from mitm.audit.case import plain_name
from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion, listed
from mitm.audit.explanation import further_lines, proved_by, unexercised, untried
from mitm.audit.finding import Outcome
from mitm.audit.setting import LONG_NAME
from mitm.audit.wording import Words, words_for
from mitm.masking import plain

# The worst first. Passes are named in one line: there are many of them, and little to say.
_SECTIONS: dict[Outcome, tuple[str, str]] = {
    "vulnerable": ("", "harm"),
    "crashed": ("Crashed: it ended the program, or hung it", "caution"),
    "inconclusive": ("Inconclusive: nothing can be said", "caution"),
    "too-strict": ("", "caution"),
}
_MEANING = {0: "a build passes", 1: "a build fails", 3: "nothing is proved"}

# Of names that are too short for a certificate.
_LONGER = f"tell the client {{name}}, or give a longer one, --name {LONG_NAME}"

# Names of certificates in one place, beyond which they are counted.
_NAMES = 100


def show(console: Console, report: Report, conclusion: Conclusion) -> None:
    """Print what came of an audit."""
    _show_head(console, report, conclusion)
    causes = find_causes(report)
    # What fails a build, and what every client must reject.
    grave = [c for c in causes if c.severity == "must" or _counts(c, conclusion)]
    for cause in grave:
        _show_cause(console, cause, conclusion)
    if stricter := [cause for cause in causes if cause not in grave]:
        _show_stricter(console, stricter, words_for(report.subject))
    for outcome in _SECTIONS:
        # Without causes nothing is proved; what was read was read.
        if outcome != "vulnerable" or not causes:
            _show_outcome(console, report, outcome, conclusion)
    for line in untried(report.findings, _LONGER):
        console.print()
        console.print(Text(f"Unsupported: {line}"))
    if lines := unexercised(report.findings):
        count = report.count("not-exercised")
        console.print()
        console.print(Text(f"Not exercised ({count})", style="bold"))
        for line in lines:
            _show(console, line, "quiet", 2)
    passed = [finding.case.name for finding in report.findings if finding.outcome == "pass"]
    if passed:
        console.print()
        console.print(Text(f"Passed ({len(passed)})", style="good"))
        console.print(Text(plain(listed(passed, _NAMES)), style="quiet"))
    _show_end(console, report, conclusion)


def _show_head(console: Console, report: Report, conclusion: Conclusion) -> None:
    words = words_for(report.subject)
    verb = "Probed" if words.command == "probe" else "Audited"
    console.print(Text(f"{verb}: {plain(str(report.subject))}", style="bold"))
    if report.subject.stack:
        console.print(Text(f"Stack: {plain(report.subject.stack)}"))
    console.print(Text(f"Controls: {words.control}", style="bold"))
    rows = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for control, when in zip(report.controls, ("first", "last"), strict=False):
        style = "good" if control.outcome == "pass" else "harm"
        told = Text(plain(control.reason))
        if control.outcome != "pass" and control.said not in control.reason:
            told.append(f"\nthe {control.noun} said: {plain(control.said)}")
        rows.add_row("", when, Text(control.outcome, style=style), told)
        for line in further_lines(control):
            rows.add_row("", "", "", Text(plain(line), style="quiet"))
    console.print(rows)
    for advice in conclusion.advice:
        _show(console, advice, "bold", 2)


def _show_cause(console: Console, cause: Cause, conclusion: Conclusion) -> None:
    console.print()
    says = f"{cause.says[:1].upper()}{cause.says[1:]}"
    known = all(each.case.name in conclusion.known for each in cause.findings)
    heading = Text(plain(f"{says} ({proved_by(cause)})"), style="harm")
    if known:
        heading.append("; known from the baseline", style="quiet")
    console.print(heading)
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    worst = cause.proof[0]
    rows.add_row("", "fix", Text(plain(cause.fix), style="bold"))
    rows.add_row("", "seen", Text(plain(f"{worst.case.name}: {worst.reason}")))
    rows.add_row("", "proof", _names(cause.proof, conclusion))
    if cause.follows:
        rows.add_row("", "and so", _names(cause.follows, conclusion))
    console.print(rows)


def _show_stricter(console: Console, causes: list[Cause], words: Words) -> None:
    """What sound ones accept as well: no reason for alarm."""
    count = sum(len(cause.findings) for cause in causes)
    console.print()
    console.print(Text(f"{words.stricter} ({count})", style="bold"))
    for cause in causes:
        about = f"{cause.says}: {listed([f.case.name for f in cause.findings], _NAMES)}"
        _show(console, f"{about} ({cause.severity})", "", 2)
        if cause.name == "offer":
            _show(console, "; ".join(finding.reason for finding in cause.findings), "", 6)
        _show(console, cause.fix, "quiet", 6)


def _show_outcome(
    console: Console, report: Report, outcome: Outcome, conclusion: Conclusion
) -> None:
    findings = [finding for finding in report.findings if finding.outcome == outcome]
    if not findings:
        return
    title, style = _SECTIONS[outcome]
    words = words_for(report.subject)
    title = {"vulnerable": words.vulnerable, "too-strict": words.too_strict}.get(outcome, title)
    console.print()
    console.print(Text(f"{title} ({len(findings)})", style=style))
    for (severity, reason, fix), alike in _alike(findings).items():
        names = _names(alike, conclusion)
        console.print(Padding(names.append(f" ({severity})"), (0, 0, 0, 2), expand=False))
        _show(console, reason, "", 6)
        if fix:
            _show(console, f"fix: {fix}", "bold", 6)


def _alike(findings: Iterable[Finding]) -> dict[tuple[str, str, str], list[Finding]]:
    """Findings of which the same is to be said, together."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.case.severity, each.reason, each.fix), []).append(each)
    return groups


def _show_end(console: Console, report: Report, conclusion: Conclusion) -> None:
    console.print()
    if conclusion.fixed:
        console.print(Text(f"Fixed since the baseline: {plain(', '.join(conclusion.fixed))}"))
    lessons = content.to_try() | content.ways()
    if any(
        f.outcome == "vulnerable" and plain_name(f.case.name) in lessons for f in report.findings
    ):
        console.print(Text("What is behind each of them: mitm-demo show NAME"))
    line = Text(
        f"Exit code {conclusion.exit_code}, {_MEANING[conclusion.exit_code]}: ",
        style="good" if conclusion.exit_code == 0 else "harm",
    )
    console.print(line.append(plain(conclusion.reason), style="not bold"))


def _counts(cause: Cause, conclusion: Conclusion) -> bool:
    counted = {*conclusion.failing, *conclusion.known}
    return any(finding.case.name in counted for finding in cause.findings)


def _names(findings: Iterable[Finding], conclusion: Conclusion) -> Text:
    names = [
        f"{each.case.name} (known)" if each.case.name in conclusion.known else each.case.name
        for each in findings
    ]
    return Text(plain(listed(names, _NAMES)))


def _show(console: Console, text: str, style: str, indent: int) -> None:
    console.print(Padding(Text(plain(text), style=style), (0, 0, 0, indent), expand=False))
