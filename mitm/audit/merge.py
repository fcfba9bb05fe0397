"""Reports of several hosts, each of which has tried a shard of one suite, made one again."""

import re
from collections.abc import Callable, Sequence
from itertools import chain

from msgspec import structs

from mitm.audit.case import TWIN, catalogue, plain_name
from mitm.audit.finding import CRASH, Finding, Report
from mitm.audit.reports.source import Source
from mitm.audit.reports.told import Told
from mitm.audit.scope import Scope, catalogue_digest, digest_of
from mitm.errors import UserError


def merge(parts: Sequence[Told]) -> tuple[Report, Source | None]:
    """Put the reports of shards together.

    What was not tried is not made up: the report's scope tells which shards there are, and
    `conclude` what a missing one means.

    Args:
        parts: at least one, in any order.

    Returns:
        One report, and where the client's code stands.

    Raises:
        UserError: they do not belong together, or one of them is not whole.
    """
    scopes = [_scope(part) for part in parts]
    # Whose client got through has told the most of it.
    known = next((number for number, part in enumerate(parts) if _got_through(part.report)), 0)
    for part, scope in zip(parts, scopes, strict=True):
        _must_belong(part, scope, parts[known], scopes[known])
    by_shard: dict[int, Told] = {}
    for part, scope in zip(parts, scopes, strict=True):
        for number in scope.shards:
            if (other := by_shard.setdefault(number, part)) is not part:
                raise UserError(
                    f"shard {number} of {scope.of} stands in both {other.path} and {part.path}: "
                    "name each report once"
                )
    scope = structs.replace(scopes[0], shards=tuple(sorted(by_shard)))
    if not scope.missing:
        scope = structs.replace(scope, shards=(1,), of=1)
    # Where a control failed nothing is proved: that is the one to tell.
    ordered = [by_shard[number].report for number in sorted(by_shard)]
    telling = next((each for each in ordered if not each.conclusive), ordered[0])
    findings = sorted(chain.from_iterable(part.report.findings for part in parts), key=_order())
    report = Report(
        telling.controls,
        tuple(findings),
        telling.subject,
        telling.doubts,
        next((each.problem for each in ordered if each.problem), ""),
        scope,
    )
    if all(each.conclusive for each in ordered) and not scope.missing:
        _must_be_whole(report, scope)
    return report, next((part.source for part in parts if part.source), None)


def _scope(part: Told) -> Scope:
    scope = part.report.scope
    if scope is None:
        raise UserError(f"{part.path} does not say what was tried: it cannot be merged")
    if max(scope.shards) > scope.of or len({*scope.shards}) < len(scope.shards):
        raise UserError(f"{part.path} has shards {scope.shards} of {scope.of}: there are none such")
    if scope.catalogue != catalogue_digest():
        raise UserError(
            f"{part.path} was made by mitm-demo {part.version} with another catalogue than is "
            "installed here: merge with the version that has made the reports"
        )
    tried = {f.case.name for f in part.report.findings if not f.case.name.endswith(CRASH)}
    if part.report.conclusive and len(tried) != scope.expected:
        raise UserError(
            f"{part.path} is not whole: it has findings for {len(tried)} of {scope.expected} "
            "certificates"
        )
    return scope


def _must_belong(part: Told, scope: Scope, first: Told, of_first: Scope) -> None:
    """Insist that two reports are parts of one audit."""
    about, reference = (_identity(each.report) for each in (part, first))
    for what, here, there in (
        ("version of mitm-demo", part.version, first.version),
        *((f"client ({key})", about[key], reference[key]) for key in about if key in reference),
        ("name under test", scope.name, of_first.name),
        ("setting (--roots)", scope.roots, of_first.roots),
        ("setting (--mode)", scope.mode, of_first.mode),
        ("number of shards", scope.of, of_first.of),
        ("number of certificates", scope.certificates, of_first.certificates),
        ("choice of certificates", scope.suite, of_first.suite),
    ):
        if here != there:
            raise UserError(
                f"{part.path} and {first.path} do not belong together: another {what}: "
                f"{here!r} and {there!r}"
            )


def _identity(report: Report) -> dict[str, str]:
    """What is the same of one client on every host.

    A comment in a user agent (RFC 9110 section 10.1.5) tells of the host as well.
    """
    subject = report.subject
    told = {
        "name": subject.name,
        "title": subject.title,
        "version": subject.version,
        "policy": subject.policy,
    }
    if _got_through(report):
        # What it makes its calls with, it says in them.
        told["stack"] = re.sub(r"\s*\([^()]*\)", "", subject.stack)
    return told


def _got_through(report: Report) -> bool:
    return report.controls[0].outcome == "pass"


def _order() -> Callable[[Finding], tuple[bool, int, str]]:
    """The order in which an audit tells its findings: the catalogue's, twins behind the others."""
    place = {entry.name: number for number, entry in enumerate(catalogue())}

    def key(finding: Finding) -> tuple[bool, int, str]:
        name = finding.case.name.removesuffix(CRASH)
        known = place.get(plain_name(name), len(place))
        return name.endswith(TWIN), known, finding.case.name

    return key


def _must_be_whole(report: Report, scope: Scope) -> None:
    """Insist that all of them together are what was to be tried."""
    told = sorted(
        (f.case.name, f.case.expect, f.case.severity, f.case.lesson)
        for f in report.findings
        if not f.case.name.endswith(CRASH)
    )
    if digest_of(told) != scope.suite:
        raise UserError(
            "the reports together are not what was to be tried: was one of them changed?"
        )
