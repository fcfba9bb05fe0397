"""What `audit` shows: the controls, each certificate that matters, and what it comes to."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mitm import content
from mitm.audit import Finding, Report
from mitm.audit.conclusion import Conclusion
from mitm.audit.finding import Outcome
from mitm.masking import plain

# The worst first. Passes are named in one line: there are many of them, and little to say.
_SECTIONS: dict[Outcome, tuple[str, str]] = {
    "vulnerable": ("Vulnerable: accepted, though it must not be trusted", "bold red"),
    "crashed": ("Crashed: rejected, but it ended the program", "bold yellow"),
    "inconclusive": ("Inconclusive: nothing can be said", "bold yellow"),
    "too-strict": ("Too strict: rejected, though it is sound", "bold yellow"),
    "unsupported": ("Unsupported: cannot be presented here", "bold"),
}
_MEANING = {0: "a build passes", 1: "a build fails", 3: "nothing is proved"}


def show(console: Console, report: Report, conclusion: Conclusion) -> None:
    """Print what came of an audit."""
    console.print(Text(f"Audited: {plain(str(report.subject))}", style="bold"))
    console.print(Text("Controls: the genuine certificate", style="bold"))
    rows = _rows()
    for control, when in zip(report.controls, ("first", "last"), strict=False):
        style = "green" if control.outcome == "pass" else "bold red"
        told = Text(plain(control.reason))
        if control.outcome != "pass" and control.said not in control.reason:
            told.append(f"\nthe {control.noun} said: {plain(control.said)}", style="dim")
        rows.add_row("", when, Text(control.outcome, style=style), told)
    console.print(rows)
    for advice in conclusion.advice:
        console.print(Padding(Text(advice, style="bold"), (0, 0, 0, 2)))
    for outcome, (title, style) in _SECTIONS.items():
        findings = [finding for finding in report.findings if finding.outcome == outcome]
        if findings:
            console.print()
            console.print(Text(f"{title} ({len(findings)})", style=style))
            rows = _rows()
            for finding in findings:
                rows.add_row("", *_row(finding, conclusion))
            console.print(rows)
    passed = [finding.case.name for finding in report.findings if finding.outcome == "pass"]
    if passed:
        console.print()
        console.print(Text(f"Passed ({len(passed)})", style="bold green"))
        console.print(Text(plain(", ".join(passed)), style="dim"))
    console.print()
    if conclusion.fixed:
        console.print(Text(f"Fixed since the baseline: {', '.join(conclusion.fixed)}"))
    lessons = content.markdown_files(content.CERTS)
    if any(f.outcome == "vulnerable" and f.case.name in lessons for f in report.findings):
        console.print(Text("What is behind each of them: mitm-demo show NAME"))
    line = Text(
        f"Exit code {conclusion.exit_code}, {_MEANING[conclusion.exit_code]}: ",
        style="bold green" if conclusion.exit_code == 0 else "bold red",
    )
    console.print(line.append(plain(conclusion.reason), style="not bold"))


def _rows() -> Table:
    rows = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    return rows


def _row(finding: Finding, conclusion: Conclusion) -> tuple[Text, Text, Text]:
    case = finding.case
    told = Text(plain(finding.reason))
    if case.name in conclusion.known:
        told = Text("known from the baseline; ", style="dim").append(told)
    if finding.fix:
        told.append(f"\nfix: {finding.fix}", style="bold")
    return Text(plain(case.name)), Text(case.severity), told
