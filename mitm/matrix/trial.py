"""One row: an ordinary audit of a client of one policy, and what its findings are as cells."""

import contextlib
import re
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from mitm.audit import CONTROL, Case, Finding, Report, Subject, Suite, run_audit
from mitm.audit.listener import Upstream
from mitm.audit.reports.as_json import evidence_told, varying_metadata
from mitm.audit.slots import Slots
from mitm.audit.steady import steady, steady_reason
from mitm.audit.trial import RunClient
from mitm.matrix.promise import promise_of
from mitm.matrix.record import Cell, Did, Kept, Row, ShownCase
from mitm.pki import Chain, load_recipe

# What a client by its contract says of a call that failed: `UNAVAILABLE: connection refused`.
_ANSWER = re.compile(r"([A-Z][A-Z_]+): (.*)", re.DOTALL)
# The same of one that is started for each call, and prints it.
_PRINTED = re.compile(r"exit code \d+: (\{.*\})", re.DOTALL)

_UNTOLD = "by its policy it is not given a CA"
_MEANT_TO = "by its policy it trusts what its machine trusts"


def fitted(suite: Suite, policy: str) -> Suite:
    """The suite as it is played with clients of a policy.

    The control of `no-ca` is a machine that trusts the lab's CA: so it is known that the client
    makes its call where it may. Then it is shown everything on a machine that does not, and the
    genuine certificate among that.

    Args:
        suite: for all policies.
        policy: which.
    """
    if policy in ("insecure", "skip-verify", "no-ca", "system-roots"):
        suite = suite.unfaulted(_UNTOLD)
    if policy in ("no-ca", "system-roots"):
        suite = suite.unplanted(_MEANT_TO)
    if policy == "no-ca":
        genuine = suite.control
        assert genuine.chain is not None
        trusted = replace(genuine.chain, system_pem=genuine.chain.anchor_pem)
        suite = replace(
            suite, control=replace(genuine, chain=trusted), cases=(genuine, *suite.cases)
        )
    if policy == "skip-hostname":
        # It takes another's name wherever it is shown one; what else it takes is the question.
        suite = replace(suite, cases=tuple(map(_without_names, suite.cases)))
    return suite


def _without_names(case: Case) -> Case:
    """An attack without its forgeries of the family `name`."""
    if not case.attack:
        return case
    chains = {
        name: chain
        for name, chain in case.chains.items()
        if name == CONTROL or load_recipe(name).family != "name"
    }
    return replace(case, chains=chains)


async def try_row(
    row: Row,
    suite: Suite,
    client: RunClient,
    upstream: Upstream,
    slots: Slots,
    on_finding: Callable[[Finding], None],
) -> Row:
    """Try everything on a client of one policy.

    Args:
        row: who that is.
        suite: for all policies.
        client: runs it once.
        upstream: the server behind what is presented.
        slots: room for its runs, and for those of other rows.
        on_finding: called with each finding as it is made.

    Raises:
        UserError: it cannot be started.
    """
    report = await run_audit(
        fitted(suite, row.policy),
        client,
        upstream,
        subject=Subject(row.client, row.title, policy=row.policy),
        on_finding=on_finding,
        slots=slots,
    )
    genuine = suite.control.chain
    assert genuine is not None
    return _judged(row, report, genuine)


def _judged(row: Row, report: Report, genuine: Chain) -> Row:
    varying = varying_metadata(report)
    first = report.controls[0]
    # What a crash causes stands behind it as a finding of its own, with the same crash in it.
    found = [each for each in report.findings if each.outcome != "crashed"]
    if row.policy != "no-ca":
        # There it is a case like others, on a machine that does not trust it.
        found = [first, *found]
    cells = [_cell(row.policy, each, genuine, first.crash, varying) for each in found]
    row = replace(row, stack=report.subject.stack)
    if report.conclusive:
        return replace(row, state="tried", cells=tuple(cells))
    failed = next(each for each in report.controls if each.outcome != "pass")
    if not cells:
        cells = [_cell(row.policy, first, genuine, "", varying)]
    # What was seen to be taken was taken.
    proved = [
        cell
        if cell.kept == "crashed" or (cell.kept, cell.did) == ("broken", "took")
        else _unproved(cell)
        for cell in cells
    ]
    reason = steady_reason(failed.reason, failed.said)
    return replace(row, state="no-control", reason=reason, cells=tuple(proved))


def _unproved(cell: Cell) -> Cell:
    return cell if cell.kept == "untried" else replace(cell, kept="undecided")


def _cell(
    policy: str, finding: Finding, genuine: Chain, usual_crash: str, varying: frozenset[str]
) -> Cell:
    case = finding.case
    promise = promise_of(policy, case, genuine)
    did = _did(finding)
    crash = finding.crash if finding.crash != usual_crash else ""
    code, message = _words(finding.said)
    return Cell(
        case=case.name,
        promise=promise.what,
        binding=promise.binding,
        did=did,
        kept=_kept(promise.what, did, finding, crash),
        outcome=finding.outcome,
        reason=steady_reason(finding.reason, finding.said),
        code=code,
        message=steady(message),
        crash=crash,
        evidence=evidence_told(finding.observation, varying) if finding.observation else None,
    )


def _words(said: str) -> tuple[str, str]:
    """Code and message of a client's last words; no code, if they are not by the contract."""
    if printed := _PRINTED.fullmatch(said):
        with contextlib.suppress(msgspec.DecodeError):
            answer = msgspec.json.decode(printed[1], type=_Answer)
            return (answer.error.code, answer.error.message) if answer.error else ("", "")
    if answered := _ANSWER.fullmatch(said):
        return answered[1], answered[2]
    return "", said


class _Error(msgspec.Struct):
    code: str
    message: str


class _Answer(msgspec.Struct):
    error: _Error | None = None


def _did(finding: Finding) -> Did:
    expected = finding.case.expect
    match finding.outcome:
        case "vulnerable":
            return "took"
        case "too-strict":
            return "refused"
        case "pass":
            return "took" if expected == "accept" else "refused"
    return ""


def _kept(promised: str, did: Did, finding: Finding, crash: str) -> Kept:
    if crash and (promised, did) != ("refuse", "took"):
        return "crashed"
    if not did:
        return "undecided" if finding.outcome == "inconclusive" else "untried"
    if promised == "open":
        return "open"
    return "kept" if did == {"take": "took", "refuse": "refused"}[promised] else "broken"


def shown(case: Case) -> ShownCase:
    """What a case presents, for a reader."""
    chain = case.chain
    presented = chain.subjects if chain else tuple(sorted(case.chains))
    return ShownCase(
        name=case.name,
        title=case.title,
        family=case.family,
        expect=case.expect,
        severity=case.severity,
        rule=case.rule,
        presented=presented,
        issuer=chain.issuer if chain else "",
    )
