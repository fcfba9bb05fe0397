"""Shards of a suite, and their reports made one again."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from mitm.audit import Case, Finding, Report, Suite, catalogue, forge_suite, with_twins
from mitm.audit.case import described, load_entry
from mitm.audit.conclusion import conclude
from mitm.audit.finding import Outcome, with_crashes
from mitm.audit.merge import merge
from mitm.audit.reports import Source, as_json, as_junit, as_sarif, load_report
from mitm.errors import UserError
from mitm.evidence import Act, Ending, Evidence, Observation
from tests.audit.findings import EVIDENCE, SUBJECT, catalogued, finding

CONTROL = structs.replace(
    catalogued("genuine", "pass"), observation=Observation("sent", "", EVIDENCE)
)
SOURCE = Source("src/client.py", 7)


def suite(*names: str) -> Suite:
    known = {entry.name: described(entry) for entry in with_twins(catalogue())}
    cases = tuple(known[name] for name in names) if names else tuple(known.values())
    return Suite(forge_suite([]).control, tuple(case for case in cases if case.name != "genuine"))


WHOLE = suite()
SMALL = suite("attacker-ca", "expired", "mixed-case", "wrong-host", "reconnect", "offers-null")


def came_of(case: Case, *, careless: bool) -> Finding:
    """What a client that takes everything did, or a sound one."""
    if case.expect == "accept" or not careless:
        act: Act = "sent" if case.expect == "accept" else "rejected"
        evidence = EVIDENCE if act == "sent" else Evidence("nothing")
        return Finding(case, "pass", act, Observation(act, "", evidence), "exit code 0")
    evidence = structs.replace(
        EVIDENCE,
        connections=(
            Ending(1, True, "client", "eof", "established", "", "messages", "genuine"),
            Ending(2, True, "client", "eof", "established", "", "messages", "attacker-ca", True),
        ),
    )
    return Finding(case, "vulnerable", "accepted", Observation("sent", "", evidence))


def played(part: Suite, *, careless: bool, **changed: Outcome) -> Report:
    """The report of a suite, with some outcomes changed, by names with underscores."""
    findings = [came_of(case, careless=careless) for case in part.cases]
    findings = [
        structs.replace(f, outcome=changed.get(f.case.name.replace("-", "_"), f.outcome))
        for f in findings
    ]
    crashed = [
        structs.replace(each, crash="SIGABRT") if each.case.name == "malformed-san" else each
        for each in findings
    ]
    scope = part.scope("given", "reverse")
    return Report((CONTROL, CONTROL), tuple(with_crashes(crashed)), SUBJECT, scope=scope)


def written(folder: Path, name: str, report: Report) -> Path:
    path = folder / f"{name}.json"
    path.write_text(as_json(report, conclude(report), SOURCE))
    return path


def merged(*paths: Path) -> Report:
    return merge([load_report(path) for path in paths])[0]


# Shards


@pytest.mark.parametrize("of", [1, 2, 3, 7, len(WHOLE.cases)])
def test_the_shards_of_a_suite_are_the_whole_and_share_nothing(of: int) -> None:
    shards = [WHOLE.shard(number, of) for number in range(1, of + 1)]
    names = [case.name for shard in shards for case in shard.cases]
    assert len(names) == len({*names})
    assert {*names} == {case.name for case in WHOLE.cases}
    sizes = {len(shard.cases) for shard in shards}
    assert max(sizes) - min(sizes) <= 1
    # Each plays the same controls.
    assert {id(shard.control) for shard in shards} == {id(WHOLE.control)}


def test_a_shard_is_the_same_in_whatever_order_its_cases_are_told() -> None:
    turned = Suite(WHOLE.control, WHOLE.cases[::-1])
    for number in (1, 2, 3):
        here, there = WHOLE.shard(number, 3), turned.shard(number, 3)
        assert {case.name for case in here.cases} == {case.name for case in there.cases}
        assert here.scope("given", "reverse") == there.scope("given", "reverse")


def test_a_shard_knows_that_another_attacks_each_connection() -> None:
    """Or else a client that makes several would be undecided in all shards but one."""
    shards = [WHOLE.shard(number, 3) for number in (1, 2, 3)]
    assert [shard.attacks_each_position for shard in shards] == [True] * 3
    without = suite("attacker-ca", "expired").shard(1, 2)
    assert not without.attacks_each_position


def test_a_shard_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"--shard 1/7: .* only 6 certificates"):
        SMALL.shard(1, 7)
    assert len(SMALL.shard(1, 6).cases) == 1


# What is read again


@pytest.mark.parametrize("careless", [False, True])
def test_a_report_that_is_read_again_says_the_same(tmp_path: Path, careless: bool) -> None:
    report = played(WHOLE, careless=careless)
    again = load_report(written(tmp_path, "whole", report))
    conclusion = conclude(report)
    assert conclude(again.report) == conclusion
    assert again.source == SOURCE
    assert as_json(again.report, conclusion, SOURCE) == as_json(report, conclusion, SOURCE)
    assert as_junit(again.report, conclusion) == as_junit(report, conclusion)
    for strict in (False, True):
        told, before = (
            as_sarif(each, conclusion, SOURCE, strict=strict) for each in (again.report, report)
        )
        assert told == before


def test_a_recipe_of_ones_own_is_told_whole(tmp_path: Path) -> None:
    """Nobody else has it: its lesson, and the steps of an attack, by which its cause is named."""
    own = tmp_path / "mine.md"
    own.write_text(
        "---\ntitle: Mine\nrule: RFC 5280\nfix: Mend it\nforgeries: [attacker-ca]\nplays:\n"
        "  - [{handshake: reset, connections: 1}, {present: forged}]\n---\n\nMy lesson.\n"
    )
    part = Suite(SMALL.control, (*SMALL.cases, described(load_entry(str(own)))))
    careless = played(part, careless=True, attacker_ca="pass")
    again = load_report(written(tmp_path, "whole", careless)).report
    conclusion = conclude(careless)
    assert as_json(again, conclusion) == as_json(careless, conclusion)
    assert "failed-handshake" in as_json(again, conclusion)
    told = as_sarif(again, conclusion, SOURCE, strict=True)
    assert told == as_sarif(careless, conclusion, SOURCE, strict=True)
    assert "My lesson." in told


def test_a_control_that_failed_is_told_with_its_last_words(tmp_path: Path) -> None:
    failed = structs.replace(
        finding("genuine", "inconclusive"), said="exit code 1: no", last_lines=("one", "two")
    )
    scope = SMALL.scope("given", "reverse")
    report = Report((failed,), (), SUBJECT, ("look here",), scope=scope)
    again = load_report(written(tmp_path, "failed", report)).report
    assert conclude(again).advice == conclude(report).advice
    assert conclude(again).exit_code == 3
    assert as_junit(again, conclude(again)) == as_junit(report, conclude(report))
    assert "two" in as_junit(again, conclude(again))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 100_000, '{"findings": []}', "\x00", '"\\ud800"']
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"report\.json is no report of 'mitm-demo audit --json'"):
        load_report(path)
    with pytest.raises(UserError, match=r"cannot read .*nowhere"):
        load_report(tmp_path / "nowhere")


# Merging


@pytest.mark.parametrize("careless", [False, True])
def test_merged_shards_are_the_report_of_the_whole(tmp_path: Path, careless: bool) -> None:
    whole = played(WHOLE, careless=careless)
    paths = [
        written(tmp_path, str(number), played(WHOLE.shard(number, 3), careless=careless))
        for number in (1, 2, 3)
    ]
    expected = as_json(whole, conclude(whole))
    for order in itertools.permutations(paths):
        report = merged(*order)
        assert as_json(report, conclude(report, whole=True)) == expected


def test_one_report_of_everything_is_merged_by_itself(tmp_path: Path) -> None:
    whole = played(SMALL, careless=True)
    report = merged(written(tmp_path, "whole", whole))
    assert conclude(report, whole=True) == conclude(whole)


def test_a_missing_shard_is_never_clean(tmp_path: Path) -> None:
    paths = [
        written(tmp_path, str(number), played(SMALL.shard(number, 3), careless=False))
        for number in (1, 2, 3)
    ]
    assert conclude(merged(*paths), whole=True).exit_code == 0
    for some in (*itertools.combinations(paths, 1), *itertools.combinations(paths, 2)):
        conclusion = conclude(merged(*some), whole=True)
        assert conclusion.exit_code == 3
        assert "missing: shard" in conclusion.reason
    # Nor does it become whole by being merged once more.
    partly = merged(*paths[:2])
    path = tmp_path / "partly.json"
    path.write_text(as_json(partly, conclude(partly, whole=True)))
    assert conclude(merged(path), whole=True).exit_code == 3
    assert conclude(merged(path, paths[2]), whole=True).exit_code == 0


def test_what_was_found_is_found_though_a_shard_is_missing(tmp_path: Path) -> None:
    """As with a certificate that is undecided: it does not make the client better."""
    paths = [
        written(tmp_path, str(number), played(SMALL.shard(number, 2), careless=True))
        for number in (1, 2)
    ]
    conclusion = conclude(merged(paths[0]), whole=True)
    assert conclusion.exit_code == 1
    assert conclusion.reason.endswith("; missing: shard 2 of 2")


def test_a_shard_whose_control_failed_leaves_nothing_proved(tmp_path: Path) -> None:
    good = written(tmp_path, "1", played(SMALL.shard(1, 2), careless=True))
    part = SMALL.shard(2, 2)
    failed = finding("genuine", "inconclusive")
    for controls, findings in (
        ((failed,), ()),
        ((CONTROL, failed), played(part, careless=False).findings),
    ):
        report = Report(controls, findings, SUBJECT, scope=part.scope("given", "reverse"))
        conclusion = conclude(merged(good, written(tmp_path, "2", report)), whole=True)
        assert conclusion.exit_code == 3
        assert "the control failed" in conclusion.reason


def test_a_shard_that_broke_off_leaves_nothing_proved(tmp_path: Path) -> None:
    """The command of a session, say, which was not through."""
    parts = [played(SMALL.shard(number, 2), careless=False) for number in (1, 2)]
    parts[1] = structs.replace(parts[1], problem="its command ended with exit code 1")
    paths = [written(tmp_path, str(number), part) for number, part in enumerate(parts)]
    conclusion = conclude(merged(*paths), whole=True)
    assert conclusion.exit_code == 3
    assert "its command ended" in conclusion.reason


def test_a_shard_alone_is_judged_by_what_it_tried() -> None:
    conclusion = conclude(played(SMALL.shard(2, 3), careless=False))
    assert conclusion.exit_code == 0
    assert conclusion.reason.endswith("(of shard 2 of 3 alone)")


def test_a_missing_shard_is_an_error_to_whoever_reads_junit_alone(tmp_path: Path) -> None:
    report = merged(written(tmp_path, "1", played(SMALL.shard(1, 2), careless=False)))
    assert 'errors="1"' in as_junit(report, conclude(report, whole=True))
    whole = played(SMALL, careless=False)
    assert 'errors="0"' in as_junit(whole, conclude(whole))


def _changed(told: dict[str, Any], *keys: str, to: object) -> None:
    *path, last = keys
    for key in path:
        told = told[key]
    told[last] = to


@pytest.mark.parametrize(
    ("keys", "to", "said"),
    [
        (("subject", "name"), "other", r"another client \(name\): 'other' and 'client'"),
        (("subject", "version"), "2.0", r"another client \(version\)"),
        (("subject", "policy"), "pinned", r"another client \(policy\)"),
        (("subject", "stack"), "grpc-python/1.60.0", r"another client \(stack\)"),
        (("tool", "version"), "99", "another version of mitm-demo"),
        (("scope", "name"), "example.com", "another name under test"),
        (("scope", "roots"), "system", "another setting"),
        (("scope", "mode"), "connect", "another setting"),
        (("scope", "suite"), "0" * 16, "another choice of certificates"),
        (("scope", "catalogue"), "0" * 16, "with another catalogue than is installed here"),
        (("scope", "of"), 3, "is not whole|another number of shards"),
        (("scope", "shards"), [1], r"shard 1 of 2 stands in both .*1\.json and .*2\.json"),
        (("scope", "shards"), [3], "there are none such"),
        (("scope", "shards"), [2, 2], "there are none such"),
        (("scope", "shards"), [], "is no report"),
        (("scope", "shards"), [0], "is no report"),
        (("scope", "of"), 10**9, "is no report"),
        (("scope",), None, "does not say what was tried"),
        (("findings",), [], "is not whole: it has findings for 0 of 3"),
        (("controls",), [], "it has no controls"),
    ],
    ids=str,
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, keys: tuple[str, ...], to: object, said: str
) -> None:
    first = written(tmp_path, "1", played(SMALL.shard(1, 2), careless=False))
    second = written(tmp_path, "2", played(SMALL.shard(2, 2), careless=False))
    assert conclude(merged(first, second), whole=True).exit_code == 0
    told = json.loads(second.read_text())
    _changed(told, *keys, to=to)
    second.write_text(json.dumps(told))
    with pytest.raises(UserError, match=said):
        merged(first, second)


def test_one_report_twice_is_refused(tmp_path: Path) -> None:
    first = written(tmp_path, "1", played(SMALL.shard(1, 2), careless=False))
    with pytest.raises(UserError, match="shard 1 of 2 stands in both"):
        merged(first, first)


def test_a_finding_in_the_place_of_another_is_told(tmp_path: Path) -> None:
    first = written(tmp_path, "1", played(SMALL.shard(1, 2), careless=False))
    second = written(tmp_path, "2", played(SMALL.shard(2, 2), careless=False))
    told = json.loads(second.read_text())
    told["findings"][0] = json.loads(first.read_text())["findings"][0]
    second.write_text(json.dumps(told))
    with pytest.raises(UserError, match="not what was to be tried"):
        merged(first, second)


def test_an_attack_that_has_succeeded_on_no_connection_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "1", played(SMALL, careless=True))
    assert conclude(merged(path), whole=True).exit_code == 1
    told = json.loads(path.read_text())
    for each in told["findings"]:
        for ending in each["evidence"]["connections"] if each["evidence"] else ():
            ending["reached"] = "nothing"
    path.write_text(json.dumps(told))
    with pytest.raises(UserError, match="reconnect: by its evidence nobody was let in"):
        merged(path)


def test_a_host_on_which_it_never_got_through_is_no_other_client(tmp_path: Path) -> None:
    """Before it has made a call, nobody knows its stack."""
    good = written(tmp_path, "1", played(SMALL.shard(1, 2), careless=False))
    nobody = structs.replace(SUBJECT, stack="")
    failed = Report(
        (finding("genuine", "too-strict"),),
        (),
        nobody,
        scope=SMALL.shard(2, 2).scope("given", "reverse"),
    )
    bad = written(tmp_path, "2", failed)
    for parts in ((good, bad), (bad, good)):
        conclusion = conclude(merged(*parts), whole=True)
        assert conclusion.exit_code == 3
        assert "the control failed" in conclusion.reason


def test_hosts_may_differ_in_what_a_client_says_of_them(tmp_path: Path) -> None:
    parts = []
    for number, host in ((1, "linux; chttp2"), (2, "osx; chttp2")):
        subject = structs.replace(SUBJECT, stack=f"grpc-python/1.85.3 grpc-c/53 ({host})")
        report = structs.replace(played(SMALL.shard(number, 2), careless=False), subject=subject)
        parts.append(written(tmp_path, str(number), report))
    assert conclude(merged(*parts), whole=True).exit_code == 0
