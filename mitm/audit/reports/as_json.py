"""The report as one JSON object; its fields are documented in docs/audit.md."""

import json
from importlib.metadata import version

import msgspec

from mitm.audit.conclusion import Conclusion
from mitm.audit.finding import OUTCOMES, Finding, Report
from mitm.evidence import Evidence, method_of


def as_json(report: Report, conclusion: Conclusion) -> str:
    """The report, indented, so that two of them can be compared line by line."""
    return json.dumps(
        {
            "tool": {"name": "mitm-demo", "version": version("mitm-demo")},
            "client": report.subject.name,
            "subject": msgspec.to_builtins(report.subject),
            "exit_code": conclusion.exit_code,
            "reason": conclusion.reason,
            "advice": conclusion.advice,
            "controls": [_finding(control) for control in report.controls],
            "findings": [_finding(finding) for finding in report.findings],
            "summary": {outcome: report.count(outcome) for outcome in OUTCOMES},
            "failing": conclusion.failing,
            "known": conclusion.known,
            "fixed": conclusion.fixed,
        },
        indent=2,
    )


def _finding(finding: Finding) -> dict[str, object]:
    case = finding.case
    return {
        "certificate": case.name,
        "title": case.title,
        "expect": case.expect,
        "severity": case.severity,
        "cwe": case.cwe,
        "rule": case.rule,
        "outcome": finding.outcome,
        "reason": finding.reason,
        "fix": finding.fix,
        "client_said": finding.said,
        "crash": finding.crash,
        "evidence": _evidence(finding.evidence) if finding.evidence else None,
    }


def _evidence(evidence: Evidence) -> dict[str, object]:
    return {
        "reached": evidence.reached,
        "calls": [
            # What the messages hold is left out: a login's password, for example.
            {
                "method": method_of(call),
                "metadata": call.metadata,
                "messages": len(call.requests),
            }
            for call in evidence.calls
        ],
        "credentials": evidence.credentials,
        "connections": msgspec.to_builtins(evidence.connections),
    }
