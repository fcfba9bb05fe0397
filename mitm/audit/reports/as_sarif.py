"""The report as SARIF 2.1.0 (OASIS), which code scanning services read."""

import re
from importlib.metadata import version
from urllib.parse import quote

from mitm.audit.case import Case
from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion
from mitm.audit.finding import Finding, Report
from mitm.audit.reports.source import Source
from mitm.audit.steady import steady_reason
from mitm.audit.wording import words_for
from mitm.masking import as_json
from mitm.pki.recipe import Severity

# The schema's own `id`, by which a reader tells the version.
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_LEVELS: dict[Severity, str] = {"must": "error", "should": "warning", "info": "note"}

# The scale of CVSS, which services sort by. A client that accepts a forged certificate loses
# confidentiality and integrity to whoever is on its way: 7.4 in CVSS 3.1 (AV:N/AC:H/PR:N/UI:N/S:U/
# C:H/I:H/A:N). What is only good practice is of medium severity.
_SECURITY_SEVERITY: dict[Severity, str] = {"must": "7.4", "should": "5.0", "info": "1.0"}


def as_sarif(report: Report, conclusion: Conclusion, source: Source, *, strict: bool) -> str:
    """The report as a SARIF log with one run.

    A certificate that the client accepts wrongly is a result, and so is a crash; under `strict`,
    one that it rejects wrongly as well.

    Args:
        source: where the client's code stands.
        strict: whether too strict clients are told.
    """
    cases = [f.case for f in report.findings]
    index = {case.name: number for number, case in enumerate(cases)}
    location = _location(source)
    why = {finding.case.name: cause for cause in find_causes(report) for finding in cause.findings}
    results = [
        _result(
            finding,
            why.get(finding.case.name),
            index[finding.case.name],
            conclusion,
            location,
        )
        for finding in report.findings
        if finding.outcome in ("vulnerable", "crashed")
        or (strict and finding.outcome == "too-strict")
    ]
    command = words_for(report.subject).command
    run = {
        "tool": {
            "driver": {
                "name": "mitm-demo",
                "semanticVersion": version("mitm-demo"),
                "rules": [_rule(case) for case in cases],
            }
        },
        # Services replace the results of one category: two clients have one each.
        "automationDetails": {"id": f"mitm-demo/{command}/{_category(report, source)}/"},
        "invocations": [
            {
                "executionSuccessful": conclusion.exit_code != 3,
                "exitCode": conclusion.exit_code,
                "exitCodeDescription": conclusion.reason,
                "toolExecutionNotifications": _notifications(report, conclusion, index),
            }
        ],
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    return as_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _category(report: Report, source: Source) -> str:
    parts = (source.file, report.subject.policy)
    return "/".join(_uri(part) for part in parts if part)


def _uri(path: str) -> str:
    # Names of files are bytes, of whatever encoding; what was read from JSON may be no text at all.
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return quote(path.encode("utf-8", "surrogatepass"))


def _rule(case: Case) -> dict[str, object]:
    fix = f"Fix: {case.fix}" if case.fix else ""
    rule = f"Rule: {case.rule}" if case.rule else ""
    security = case.expect == "reject"
    properties: dict[str, object] = {
        "tags": [
            "security" if security else "correctness",
            *(f"external/cwe/cwe-{number:03}" for number in case.cwe),
        ],
        "precision": "very-high",
        "problem.severity": {"must": "error", "should": "warning", "info": "recommendation"}[
            case.severity
        ],
    }
    if security:
        properties["security-severity"] = _SECURITY_SEVERITY[case.severity]
    parts = [part for part in (case.lesson.strip(), rule, fix) if part]
    return {
        "id": case.name,
        "name": "".join(word.capitalize() for word in re.split(r"\W+", case.name)),
        "shortDescription": {"text": case.title},
        "fullDescription": {"text": case.rule or case.title},
        "defaultConfiguration": {"level": _LEVELS[case.severity]},
        "help": {"text": "\n\n".join(parts), "markdown": "\n\n".join(parts)},
        "properties": properties,
    }


def _result(
    finding: Finding,
    cause: Cause | None,
    index: int,
    conclusion: Conclusion,
    location: dict[str, object],
) -> dict[str, object]:
    case = finding.case
    text = f"{case.title}: {steady_reason(finding.reason, finding.said)}."
    if cause:
        text = f"{cause.says[:1].upper()}{cause.says[1:]}. {text}"
    if fix := cause.fix if cause else finding.fix:
        text += f" Fix: {fix}"
    known = {"kind": "external", "justification": "known from the baseline"}
    return {
        "ruleId": case.name,
        "ruleIndex": index,
        "level": _LEVELS[case.severity],
        "kind": "fail",
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"certificate/v1": f"{case.name}:{finding.outcome}"},
        # All results have them or none (section 3.27.23).
        "suppressions": [known] if case.name in conclusion.known else [],
    }


def _location(source: Source) -> dict[str, object]:
    """Where the client's code stands, which services want every result to have."""
    return {
        "physicalLocation": {
            # Section 3.4.4: what is called so is for the reader to know: where it has the source.
            "artifactLocation": {"uri": _uri(source.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": source.line},
        }
    }


def _notifications(
    report: Report, conclusion: Conclusion, index: dict[str, int]
) -> list[dict[str, object]]:
    """What could not be tried, or not be decided: it is not to be taken for a pass."""
    notifications: list[dict[str, object]] = []
    for control in report.controls:
        if control.outcome != "pass":
            text = " ".join([f"The control failed: {control.reason}.", *conclusion.advice])
            notifications.append({"level": "error", "message": {"text": text}})
    for finding in report.findings:
        if finding.outcome in ("inconclusive", "unsupported", "not-exercised"):
            name, reason = finding.case.name, steady_reason(finding.reason, finding.said)
            notifications.append(
                {
                    "level": "warning" if finding.outcome == "inconclusive" else "note",
                    "message": {"text": f"{name}: {finding.outcome}: {reason}"},
                    "associatedRule": {"id": name, "index": index[name]},
                }
            )
    return notifications
