"""The report as Markdown, for the page that a build server shows of a job."""

from collections.abc import Iterable, Iterator, Sequence

from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion, listed
from mitm.audit.explanation import further_lines, proved_by, unexercised, untried
from mitm.audit.finding import OUTCOMES, Finding, Report
from mitm.audit.setting import LONG_NAME
from mitm.audit.wording import words_for
from mitm.masking import as_code, in_markdown, shortened

_MEANING = {0: "a build passes", 1: "a build fails", 3: "nothing is proved"}

# GitHub refuses a summary that is longer ("Job summaries", workflow commands).
LONGEST = 1024 * 1024

# Beyond these, rows of a table and names of certificates are counted.
_ROWS = 100
_NAMES = 20

_LEFT_OUT = "_More is left out, for want of room: the JSON report has all of it._\n"


def as_markdown(report: Report, conclusion: Conclusion, room: int = LONGEST) -> str:
    """The report, the verdict first: what fails and how to mend it, what is undecided, the rest.

    Args:
        report: of an audit.
        conclusion: what it comes to.
        room: bytes that it may take, at most.
    """
    told = ""
    left = room - len(_LEFT_OUT.encode()) - 1
    for block in _blocks(report, conclusion):
        if len(block.encode()) + 1 > left:
            told += "\n" + _LEFT_OUT
            break
        told += "\n" + block
        left -= len(block.encode()) + 1
    return told if len(told.encode()) <= room else ""


def _blocks(report: Report, conclusion: Conclusion) -> Iterator[str]:
    yield _head(report, conclusion)
    causes = find_causes(report)
    if not report.conclusive:
        yield _control(report, conclusion)
    if conclusion.failing:
        yield _failing(report, conclusion, causes)
    # Where a control failed, what else was seen proves nothing, but it was seen.
    undecided = [each for each in report.findings if each.outcome == "inconclusive"]
    if undecided:
        rows = [[_name(each), each.case.severity, _foreign(each.reason)] for each in undecided]
        tried = words_for(report.subject).tried
        yield f"### Undecided ({len(undecided)})\n\n" + _table((tried, "", "why"), rows)
    if rest := list(_rest(report, conclusion, causes)):
        lines = "\n".join(f"- {line}" for line in rest)
        yield f"<details>\n<summary>The rest</summary>\n\n{lines}\n\n</details>\n"


def _head(report: Report, conclusion: Conclusion) -> str:
    counts = [(outcome, report.count(outcome)) for outcome in OUTCOMES]
    lines = [
        f"## mitm-demo {words_for(report.subject).command}: {_foreign(str(report.subject))}",
        f"**Exit code {conclusion.exit_code}, {_MEANING[conclusion.exit_code]}**: "
        f"{_words(conclusion.reason)}",
    ]
    if report.findings:
        lines.append(", ".join(f"{count} {outcome}" for outcome, count in counts if count))
    if report.subject.stack:
        lines.append(f"Stack: {_foreign(report.subject.stack)}")
    return "\n\n".join(lines) + "\n"


def _control(report: Report, conclusion: Conclusion) -> str:
    controls = report.controls
    failed = next((each for each in controls if each.outcome != "pass"), controls[-1])
    lines = [_foreign(failed.reason)]
    if failed.said and failed.said not in failed.reason:
        lines.append(f"the {failed.noun} said: {_foreign(failed.said)}")
    lines += [_foreign(line) for line in further_lines(failed)]
    lines += [_foreign(line) for line in conclusion.advice]
    told = "\n".join(f"- {line}" for line in lines if line)
    return f"### {words_for(report.subject).not_let}\n\n{told}\n"


def _failing(report: Report, conclusion: Conclusion, causes: Sequence[Cause]) -> str:
    rows: list[list[str]] = []
    told: set[str] = set()
    for cause in causes:
        names = [finding.case.name for finding in cause.findings]
        if not {*names} & {*conclusion.failing}:
            continue
        told.update(names)
        worst = cause.proof[0]
        says = f"{cause.says[:1].upper()}{cause.says[1:]} ({proved_by(cause)})"
        seen = f"{_name(worst)} {_foreign(worst.reason)}"
        rows.append([_words(says), _words(cause.fix), seen, _names(cause.findings)])
    # Crashes, and what is too strict.
    for each in report.findings:
        if each.case.name in conclusion.failing and each.case.name not in told:
            reason = f"{each.outcome}: {_foreign(each.reason)}"
            rows.append([_words(each.case.title), _words(each.fix), reason, _name(each)])
    head = ("what is wrong", "fix", "seen", words_for(report.subject).plural)
    return f"### What fails ({len(conclusion.failing)})\n\n" + _table(head, rows)


def _rest(report: Report, conclusion: Conclusion, causes: Sequence[Cause]) -> Iterator[str]:
    if conclusion.fixed:
        yield f"fixed since the baseline: {_listed(conclusion.fixed)}"
    if conclusion.known:
        yield f"known from the baseline: {_listed(conclusion.known)}"
    for cause in causes:
        names = {finding.case.name for finding in cause.findings}
        if not names & {*conclusion.failing, *conclusion.known}:
            fix = f": {_words(cause.fix)}" if cause.fix else ""
            yield f"{_words(cause.says)} ({cause.severity}): {_names(cause.findings)}{fix}"
    for outcome in ("too-strict", "crashed"):
        for each in report.findings:
            if each.outcome == outcome and each.case.name not in conclusion.failing:
                yield f"{outcome} ({each.case.severity}): {_name(each)}: {_foreign(each.reason)}"
    for line in untried(report.findings, f"--name {LONG_NAME}"):
        yield f"unsupported: {_foreign(line)}"
    for line in unexercised(report.findings):
        yield f"not exercised: {_foreign(line)}"
    passed = [each for each in report.findings if each.outcome == "pass"]
    if passed:
        yield f"passed ({len(passed)}): {_names(passed, len(passed))}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows[:_ROWS]]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if more := len(rows[_ROWS:]):
        text += f"\n… and {more} more: the JSON report has all of them\n"
    return text


def _names(findings: Iterable[Finding], most: int = _NAMES) -> str:
    return _listed([finding.case.name for finding in findings], most)


def _listed(names: Sequence[str], most: int = _NAMES) -> str:
    return _words(listed(names, most), limit=100_000)


def _name(finding: Finding) -> str:
    return _words(finding.case.name)


def _words(text: str, limit: int = 1000) -> str:
    """Words of ours, or of a file that was written to be read."""
    return in_markdown(shortened(text, limit))


def _foreign(text: str) -> str:
    """What may quote a client or a server."""
    return as_code(shortened(text, 1000))
