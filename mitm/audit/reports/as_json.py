"""The report as one JSON object; its fields are documented in docs/audit.md.

Two audits of one client give the same text: what hangs on the clock, on ports or on chance is left
out or marked (`mitm.audit.steady`).
"""

import json
from collections.abc import Container, Iterable
from importlib.metadata import version

import msgspec

from mitm import content, masking
from mitm.audit.case import Case, plain_name
from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion
from mitm.audit.explanation import further_lines
from mitm.audit.finding import CRASH, OUTCOMES, Finding, Report
from mitm.audit.reports.source import Source
from mitm.audit.steady import steady, steady_metadata, steady_reason
from mitm.audit.wording import SERVER
from mitm.evidence import Ending, Evidence, Observation, method_of


def as_json(report: Report, conclusion: Conclusion, source: Source | None = None) -> str:
    """The report, indented, so that two of them can be compared line by line.

    It can be read again, by `mitm.audit.reports.told`.

    Args:
        report: of an audit.
        conclusion: what it comes to.
        source: where the client's code stands, if that is known.
    """
    varying, known = varying_metadata(report), content.to_try() | content.ways()
    noun = SERVER if report.subject.noun == SERVER else "client"
    return masking.as_json(
        {
            "tool": {"name": "mitm-demo", "version": version("mitm-demo")},
            noun: report.subject.name,
            "subject": msgspec.to_builtins(report.subject),
            "source": msgspec.to_builtins(source),
            "scope": msgspec.to_builtins(report.scope),
            "exit_code": conclusion.exit_code,
            "reason": conclusion.reason,
            "advice": conclusion.advice,
            "problem": report.problem,
            "causes": [_cause(cause) for cause in find_causes(report)],
            "controls": [
                _finding(control, varying, known)
                | {"last_lines": [steady(line) for line in further_lines(control)]}
                for control in report.controls
            ],
            "findings": [_finding(finding, varying, known) for finding in report.findings],
            "summary": {outcome: report.count(outcome) for outcome in OUTCOMES},
            "failing": conclusion.failing,
            "known": conclusion.known,
            "fixed": conclusion.fixed,
        },
        indent=2,
    )


def varying_metadata(report: Report) -> frozenset[str]:
    """Names of metadata that differ between the controls: they say nothing of a certificate."""
    seen: dict[str, set[str]] = {}
    for control in report.controls:
        for call in control.evidence.calls if control.evidence else ():
            for name, value in call.metadata.items():
                seen.setdefault(f"{method_of(call)} {name}", set()).add(value)
    return frozenset(key.rpartition(" ")[2] for key, values in seen.items() if len(values) > 1)


def _cause(cause: Cause) -> dict[str, object]:
    return {
        "cause": cause.name,
        "says": cause.says,
        "severity": cause.severity,
        "fix": cause.fix,
        "certificates": [finding.case.name for finding in cause.proof],
        "follows": [finding.case.name for finding in cause.follows],
    }


def _finding(finding: Finding, varying: frozenset[str], known: Container[str]) -> dict[str, object]:
    case = finding.case
    # A function under test is a client as well.
    noun = SERVER if finding.noun == SERVER else "client"
    told: dict[str, object] = {
        "certificate": case.name,
        "title": case.title,
        "expect": case.expect,
        "severity": case.severity,
        "cwe": case.cwe,
        "rule": case.rule,
        "outcome": finding.outcome,
        "reason": steady_reason(finding.reason, finding.said),
        "fix": finding.fix,
        f"{noun}_said": steady(finding.said),
        "crash": finding.crash,
        "evidence": evidence_told(finding.observation, varying) if finding.observation else None,
        "own": None if plain_name(case.name.removesuffix(CRASH)) in known else _own(case),
    }
    if noun == SERVER:
        # What was seen of it is its answer.
        told["evidence"] = msgspec.to_builtins(finding.answer)
        told["own"] = None
        del told["crash"]
    return told


def _own(case: Case) -> dict[str, object]:
    """What is known of a file of one's own to nobody else; of the catalogue everybody knows it."""
    return {
        "family": case.family,
        "fix": case.fix,
        "lesson": case.lesson,
        "attack": msgspec.to_builtins(case.attack),
    }


def evidence_told(observation: Observation, varying: frozenset[str]) -> dict[str, object]:
    """What was seen of a client, as it is told: without what hangs on the clock, or on chance.

    Args:
        observation: of one certificate.
        varying: names of metadata whose values are of one call alone.
    """
    evidence = observation.evidence
    return {
        "plaintext": observation.act == "exposed",
        "reached": evidence.reached,
        "calls": _distinct(
            # What the messages hold is left out: a login's password, for example.
            {
                "method": method_of(call),
                "metadata": steady_metadata(call, varying),
                "messages": len(call.requests),
            }
            for call in evidence.calls
        ),
        "credentials": sorted(evidence.credentials),
        "connections": _connections(evidence),
    }


def _connections(evidence: Evidence) -> list[object]:
    """The kinds of endings that there were, as far as they are no race.

    A race is who closes a connection first once all is said, and how; how often a client tries
    again; and, of a host with two addresses, whether it comes to both (RFC 8305). So of connections
    that ended without data and without an alert, the one that came furthest stands for all, and
    there is none beside others.
    """
    shown = [each for each in evidence.connections if _gave_in(each) or each.alert]
    furthest = sorted(
        evidence.connections,
        key=lambda each: (each.reached == "preface", each.accepted, each.phase != "hello", each.by),
    )
    return _distinct(
        {
            "accepted": each.accepted,
            "by": "" if each.accepted or _gave_in(each) else each.by,
            "phase": "established" if _gave_in(each) else each.phase,
            "alert": each.alert,
            "reached": each.reached,
            "certificate": each.certificate,
            "resumed": each.resumed,
        }
        for each in shown or furthest[-1:]
    )


def _gave_in(ending: Ending) -> bool:
    """Whether the client sent data."""
    return ending.reached not in ("nothing", "preface")


def _distinct(values: Iterable[object]) -> list[object]:
    """Each of them once, in an order that does not hang on that in which they came."""
    return [json.loads(text) for text in sorted({json.dumps(value) for value in values})]
