"""What does not apply to a client is told everywhere, and is neither a pass nor a failure."""

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from mitm.audit import Report
from mitm.audit.baseline import load_baseline
from mitm.audit.conclusion import conclude
from mitm.audit.explanation import explain_failure, remarks
from mitm.audit.reports import Source, as_json, as_junit, as_sarif
from mitm.cli import audit_table
from tests.audit.findings import finding, report

SOME = report(
    finding("expired", "pass"),
    finding("reconnect", "not-exercised"),
    finding("second-connection", "not-exercised"),
)
NOTHING = report(finding("reconnect", "not-exercised"), finding("tls-1.0", "unsupported"))


@pytest.mark.parametrize("strict", [False, True])
def test_it_fails_no_build_and_proves_nothing(strict: bool) -> None:
    assert conclude(SOME, strict=strict).exit_code == 0
    conclusion = conclude(NOTHING, strict=strict)
    assert conclusion.exit_code == 3
    assert "applies to this client" in conclusion.reason
    found = report(finding("expired", "vulnerable"), finding("reconnect", "not-exercised"))
    assert conclude(found, strict=strict).exit_code == 1


def test_the_table_tells_the_names_of_one_reason_in_one_line() -> None:
    out = StringIO()
    audit_table.show(Console(file=out, width=100), SOME, conclude(SOME))
    assert "Not exercised (2)" in out.getvalue()
    assert "reconnect, second-connection: because of not-exercised" in out.getvalue()
    assert "Passed (1)" in out.getvalue()


def test_json_counts_it() -> None:
    told = json.loads(as_json(SOME, conclude(SOME)))
    assert told["summary"]["not-exercised"] == 2
    assert [each["outcome"] for each in told["findings"]].count("not-exercised") == 2


def test_junit_skips_it_with_its_reason() -> None:
    suite = ElementTree.fromstring(as_junit(SOME, conclude(SOME)))  # noqa: S314
    skipped = {
        case.get("name"): message.get("message")
        for case in suite.iter("testcase")
        for message in case.iter("skipped")
    }
    why = "not exercised: because of not-exercised"
    assert skipped == {"reconnect": why, "second-connection": why}


def test_sarif_notes_it_and_makes_no_result_of_it() -> None:
    run = json.loads(as_sarif(SOME, conclude(SOME), Source("client"), strict=True))["runs"][0]
    assert run["results"] == []
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["level"] for note in notes] == ["note", "note"]
    assert notes[0]["message"]["text"].startswith("reconnect: not-exercised: because of")


def test_a_test_is_told_in_a_remark() -> None:
    assert explain_failure(SOME) == ""
    assert remarks(SOME) == [
        "not exercised: reconnect, second-connection: because of not-exercised"
    ]
    assert "applies to this client" in explain_failure(NOTHING)


def baseline_of(path: Path, audited: Report) -> Path:
    path.write_text(as_json(audited, conclude(audited)))
    return path


def test_what_was_found_is_not_mended_by_what_does_not_apply(tmp_path: Path) -> None:
    before = report(finding("reconnect", "vulnerable"))
    known = load_baseline(baseline_of(tmp_path / "known.json", before))
    assert conclude(SOME, baseline=known).fixed == ()
    mended = report(finding("reconnect", "pass"))
    assert conclude(mended, baseline=known).fixed == ("reconnect",)
    # And what did not apply is no excuse for what is found now.
    known = load_baseline(baseline_of(tmp_path / "then.json", SOME))
    assert conclude(before, baseline=known).failing == ("reconnect",)
