"""What an audit comes to as a whole: the exit code, and why."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from mitm.audit.baseline import Baseline
from mitm.audit.finding import Finding, Report
from mitm.audit.scope import Scope
from mitm.audit.wording import SERVER, Words, words_for

ExitCode = Literal[0, 1, 3]

_NO_BASELINE = Baseline(())

# Names that fit a sentence; JSON has all of them.
_MOST = 8


class Conclusion(msgspec.Struct, frozen=True):
    """What an audit comes to.

    Attributes:
        exit_code: 0 nothing (new) found, 1 found, 3 nothing can be said.
        reason: for the exit code, in one sentence.
        advice: what to look at, where a control failed.
        failing: certificates for which a build fails.
        known: those for which it would, were they not in the baseline.
        fixed: findings of the baseline that are none any more.
    """

    exit_code: ExitCode
    reason: str
    advice: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


def conclude(
    report: Report,
    *,
    strict: bool = False,
    baseline: Baseline = _NO_BASELINE,
    whole: bool = False,
) -> Conclusion:
    """Say what a report comes to.

    Without both controls nothing is proved, so they come first. What a client was seen to accept
    comes next: that some other certificate is undecided does not make it better.

    Args:
        report: of the audit.
        strict: what counts, see `Finding.fails`.
        baseline: what is known already.
        whole: whether all shards of the suite are to be here; one by itself is judged by what it
            has tried.
    """
    wrong = report.failing(strict=strict)
    failing = tuple(f.case.name for f in wrong if not baseline.knows(f))
    known = tuple(f.case.name for f in wrong if baseline.knows(f))
    fixed = tuple(f.case.name for f in report.findings if baseline.fixed(f))
    code, reason = _exit_code(report, failing, known)
    if report.scope and report.scope.missing:
        if whole and code == 0:
            code, reason = 3, "inconclusive: not all was tried"
        reason += _of_shards(report.scope, whole=whole)
    failed = next((c for c in report.controls if c.outcome != "pass"), None)
    advice = report.doubts if failed else ()
    if failed and not report.in_session and report.subject.noun != SERVER:
        advice += advice_on(failed)
    return Conclusion(code, reason, advice, failing, known, fixed)


def _exit_code(
    report: Report, failing: tuple[str, ...], known: tuple[str, ...]
) -> tuple[ExitCode, str]:
    words = words_for(report.subject)
    if not report.conclusive:
        when = "at the end" if report.controls[0].outcome == "pass" else "first"
        return 3, (
            f"inconclusive: the control failed: {words.control}, tried {when}, {words.failed}"
        )
    if failing:
        new = "new: " if known else ""
        return 1, f"{new}{_count(failing, words)} treated wrongly: {listed(failing)}"
    undecided = tuple(finding.case.name for finding in report.undecided())
    if undecided:
        return (
            3,
            f"inconclusive: nothing can be said of {_count(undecided, words)}: {listed(undecided)}",
        )
    if report.problem:
        return 3, f"inconclusive: {report.problem}"
    if report.findings and report.count("unsupported") == len(report.findings):
        return 3, f"inconclusive: {words.impossible}"
    untried = report.count("unsupported") + report.count("not-exercised")
    if report.findings and untried == len(report.findings):
        return 3, f"inconclusive: {words.beside}"
    if known:
        return 0, f"nothing new: {_count(known, words)} known from the baseline: {listed(known)}"
    if report.failing(strict=True):
        return 0, "nothing that must fail a build; --strict counts more"
    if any(f.outcome in ("vulnerable", "too-strict", "crashed") for f in report.findings):
        return 0, "nothing that must fail a build"
    return 0, words.done


def _of_shards(scope: Scope, *, whole: bool) -> str:
    """What is not in a report of some shards, in words behind its reason."""
    if not whole:
        return f" (of shard {_numbers(scope.shards)} of {scope.of} alone)"
    return f"; missing: shard {_numbers(scope.missing)} of {scope.of}"


def _numbers(shards: Sequence[int]) -> str:
    return listed([str(number) for number in shards])


def listed(names: Sequence[str], most: int = _MOST) -> str:
    """Names in a sentence; of many, the first ones and how many more there are."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _count(names: tuple[str, ...], words: Words) -> str:
    return f"{len(names)} {words.plural if len(names) != 1 else words.tried}"


def advice_on(control: Finding) -> tuple[str, ...]:
    """Likely reasons why a client does not get through with the genuine certificate."""
    if control.evidence is None:
        return (control.reason,)
    if not control.evidence.connections:
        return (
            "Does it connect to {target} ({host} and {port}; MITM_TARGET in its environment), "
            "or to an address of its own?",
            "Does it take a proxy from its environment (https_proxy, grpc_proxy)?",
            "Does the command work by itself, and connect before it ends?",
        )
    if any(ending.accepted for ending in control.evidence.connections):
        return (
            "It completed the handshake and sent nothing. Does it expect the name {name} "
            "(MITM_NAME) in the certificate?",
            "A client that only connects cannot be audited: make it send a request.",
        )
    return (
        "Is it given the CA to trust, the file {ca} (MITM_CA), or for a client that pins, {pin} "
        "(MITM_PIN)?",
        "Does it expect the name {name} (MITM_NAME) in the certificate?",
    )
