"""A report as `as_json` has told it, read again: what it was made of, as far as reports need it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from mitm.audit.attack import Attack
from mitm.audit.case import Case, Expectation, catalogue, described, with_twins
from mitm.audit.conclusion import advice_on
from mitm.audit.finding import (
    CRASH,
    Finding,
    Outcome,
    Report,
    Subject,
    given_in,
    with_crashes,
)
from mitm.audit.reports.source import Source
from mitm.audit.scope import Scope
from mitm.errors import UserError
from mitm.evidence import Call, Ending, Evidence, Observation
from mitm.evidence.records import Reached
from mitm.pki.recipe import Family, Severity

# Messages of one call: no client sends so many in the time that it has, and somebody else may have
# written the file.
_MOST = 1_000_000


class _Tool(msgspec.Struct, frozen=True):
    version: str


class _Ending(msgspec.Struct, frozen=True):
    accepted: bool
    by: str
    phase: str
    alert: str
    reached: Reached
    certificate: str
    resumed: bool


class _Call(msgspec.Struct, frozen=True):
    method: str
    metadata: dict[str, str]
    messages: Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class _Evidence(msgspec.Struct, frozen=True):
    plaintext: bool
    reached: Reached
    calls: tuple[_Call, ...]
    credentials: tuple[str, ...]
    connections: tuple[_Ending, ...]


class _Own(msgspec.Struct, frozen=True):
    family: Family
    fix: str
    lesson: str
    attack: Attack | None


class _Finding(msgspec.Struct, frozen=True):
    certificate: str
    title: str
    expect: Expectation
    severity: Severity
    cwe: tuple[int, ...]
    rule: str
    outcome: Outcome
    reason: str
    client_said: str
    crash: str
    evidence: _Evidence | None
    own: _Own | None
    last_lines: tuple[str, ...] = ()


class _Report(msgspec.Struct, frozen=True):
    tool: _Tool
    subject: Subject
    source: Source | None
    scope: Scope | None
    advice: tuple[str, ...]
    problem: str
    controls: tuple[_Finding, ...]
    findings: tuple[_Finding, ...]


class Told(msgspec.Struct, frozen=True):
    """A report that was read.

    Attributes:
        path: its file.
        version: of mitm-demo, which has made it.
        source: where the client's code stands, if that is known.
    """

    path: Path
    version: str
    report: Report
    source: Source | None


def load_report(path: Path) -> Told:
    """Read the JSON report of an audit.

    Raises:
        UserError: it cannot be read, or is no such report; file and reason are named.
    """
    try:
        told = msgspec.json.decode(path.read_bytes(), type=_Report)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is no report of 'mitm-demo audit --json': {error}") from None
    known = _known()
    noun = told.subject.noun
    controls = tuple(_finding(each, noun, known) for each in told.controls)
    if not controls:
        raise UserError(f"{path} is no report of 'mitm-demo audit --json': it has no controls")
    crashed = {each.certificate for each in told.findings if each.outcome == "crashed"}
    findings = tuple(
        finding
        for each in told.findings
        if each.outcome != "crashed"
        # A crash is told by the certificate that it came of.
        for finding in with_crashes([_finding(each, noun, known)])
        if finding.outcome != "crashed" or finding.case.name in crashed
    )
    for each in findings:
        _must_be_proved(path, each)
    failed = next((each for each in controls if each.outcome != "pass"), None)
    usual = advice_on(failed) if failed else ()
    report = Report(
        controls,
        findings,
        told.subject,
        tuple(line for line in told.advice if line not in usual),
        told.problem,
        told.scope,
    )
    return Told(path, told.tool.version, report, told.source)


def _must_be_proved(path: Path, finding: Finding) -> None:
    """Insist that of an attack that has succeeded it is told on which connection."""
    if finding.outcome == "vulnerable" and finding.case.attack and finding.evidence:
        try:
            given_in(finding.evidence.connections)
        except StopIteration:
            raise UserError(
                f"{path}: {finding.case.name}: by its evidence nobody was let in: was it changed?"
            ) from None


def _known() -> dict[str, Case]:
    return {entry.name: described(entry) for entry in with_twins(catalogue())}


def _finding(told: _Finding, noun: str, known: Mapping[str, Case]) -> Finding:
    own = told.own
    about = known.get(told.certificate.removesuffix(CRASH))
    case = Case(
        name=told.certificate,
        title=told.title,
        expect=told.expect,
        severity=told.severity,
        cwe=told.cwe,
        rule=told.rule,
        fix=own.fix if own else about.fix if about else "",
        lesson=own.lesson if own else about.lesson if about else "",
        chain=None,
        family=own.family if own else about.family if about else "own",
        attack=own.attack if own else about.attack if about else None,
    )
    return Finding(
        case,
        told.outcome,
        told.reason,
        _observation(told) if told.evidence else None,
        told.client_said,
        told.crash,
        noun,
        told.last_lines,
    )


def _observation(told: _Finding) -> Observation:
    """What was seen, as far as it was told: what a client did is in its outcome."""
    assert told.evidence
    evidence = Evidence(
        told.evidence.reached,
        tuple(
            Call(call.method, call.metadata, (None,) * call.messages)
            for call in told.evidence.calls
        ),
        told.evidence.credentials,
        tuple(
            Ending(
                number,
                each.accepted,
                each.by,
                "",
                each.phase,
                each.alert,
                each.reached,
                each.certificate,
                each.resumed,
            )
            for number, each in enumerate(told.evidence.connections, 1)
        ),
    )
    if told.evidence.plaintext:
        return Observation("exposed", told.reason, evidence)
    sent = told.evidence.reached not in ("nothing", "preface")
    return Observation("sent" if sent else "rejected", told.reason, evidence)
