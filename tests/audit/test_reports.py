"""Reports for programs: each read by somebody else's reader, and none with a secret in it."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from mitm.audit import Report
from mitm.audit.conclusion import conclude
from mitm.audit.reports import ReportFile, as_json, as_junit, as_sarif, source_of_command
from mitm.errors import UserError
from tests.audit.findings import MIXED, SECRET, finding, report

SCHEMA = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"
SOURCE = source_of_command(("./client", "--token", SECRET, "{target}"))
REPORTS = {
    "mixed": MIXED,
    "clean": report(finding("wrong-host", "pass")),
    "empty": report(),
    "no first control": report(first="inconclusive", last=None),
    "no last control": report(finding("attacker-ca", "vulnerable"), last="too-strict"),
    "names of limbo's": report(finding("rfc5280::nc::permitted-dns", "vulnerable")),
}


def sarif(audited: Report, *, strict: bool = False) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(
        as_sarif(audited, conclude(audited, strict=strict), SOURCE, strict=strict)
    )
    return log


def junit(audited: Report) -> ElementTree.Element:
    text = as_junit(audited, conclude(audited))
    return ElementTree.fromstring(text.encode())  # noqa: S314


# JSON


def test_json_tells_all_there_is_to_tell() -> None:
    told = json.loads(as_json(MIXED, conclude(MIXED)))
    assert told["client"] == "client"
    assert told["subject"] == {
        "noun": "client",
        "name": "client",
        "title": "Some language",
        "version": "1.0",
        "policy": "ca-file",
        "stack": "grpc-python/1.85.3",
    }
    assert told["exit_code"] == 1
    assert told["failing"] == ["attacker-ca", "self-signed"]
    assert told["summary"] == {
        "pass": 1,
        "vulnerable": 4,
        "too-strict": 1,
        "unsupported": 1,
        "not-exercised": 0,
        "inconclusive": 1,
        "crashed": 1,
    }
    assert [c["outcome"] for c in told["controls"]] == ["pass", "pass"]
    assert [f["certificate"] for f in told["findings"]] == [f.case.name for f in MIXED.findings]
    worst = told["findings"][0]
    assert worst["fix"] == "Switch verification on for attacker-ca"
    assert worst["cwe"] == [295, 79]
    assert worst["evidence"]["calls"] == [
        {
            "method": "/a.B/C",
            "metadata": {"authorization": "Bearer s3cr… (18 characters, masked)"},
            "messages": 1,
        }
    ]
    assert worst["evidence"]["credentials"] == ["authorization"]
    # There is nothing to mend in a client that rejected it.
    assert told["findings"][-2]["fix"] == ""


@pytest.mark.parametrize("audited", REPORTS.values(), ids=list(REPORTS))
def test_no_report_holds_the_command_line_or_a_message(audited: Report) -> None:
    conclusion = conclude(audited)
    for text in (
        as_json(audited, conclusion),
        as_junit(audited, conclusion),
        as_sarif(audited, conclusion, SOURCE, strict=True),
    ):
        assert SECRET not in text
        assert "deadbeef" not in text
        # Nor does it obey what a client prints.
        assert "\x1b" not in text
        assert "\x00" not in text


# JUnit


def test_junit_counts_what_it_holds() -> None:
    (suite,) = junit(MIXED)
    tests = suite.findall("testcase")
    assert suite.get("tests") == str(len(tests)) == "11"
    for kind, counted in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(counted) == str(len(suite.findall(f"testcase/{kind}")))
    of = {test.get("name"): [child.tag for child in test] for test in tests}
    assert of["control: genuine, first"] == []
    assert of["attacker-ca"] == ["failure"]
    assert of["no-san"] == ["system-out"]
    assert of["tls-1.0"] == ["skipped"]
    assert of["expired"] == ["error"]
    assert of["wrong-host"] == []
    (failure,) = suite.findall("testcase[@name='attacker-ca']/failure")
    assert "because of vulnerable" in failure.get("message", "")
    assert "Fix: Switch verification on for attacker-ca" in (failure.text or "")


def test_junit_calls_a_control_that_fails_an_error_with_advice() -> None:
    audited = REPORTS["no first control"]
    (error,) = junit(audited).iter("error")
    for line in conclude(audited).advice:
        assert line in (error.text or "")


@pytest.mark.parametrize("audited", REPORTS.values(), ids=list(REPORTS))
def test_junit_is_xml_whatever_the_client_says(audited: Report) -> None:
    assert junit(audited).tag == "testsuites"


# SARIF


@pytest.fixture(scope="module")
def valid() -> Callable[[object], None]:
    validator = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))
    return validator.validate


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("audited", REPORTS.values(), ids=list(REPORTS))
def test_sarif_is_valid_against_its_schema(
    valid: Callable[[object], None], audited: Report, strict: bool
) -> None:
    valid(sarif(audited, strict=strict))


def test_the_schema_would_find_a_mistake(valid: Callable[[object], None]) -> None:
    log = sarif(MIXED)
    log["runs"][0]["results"][0]["level"] = "catastrophe"
    with pytest.raises(jsonschema.ValidationError, match="catastrophe"):
        valid(log)


def test_sarif_results_are_what_was_wrongly_accepted() -> None:
    (run,) = sarif(MIXED)["runs"]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("attacker-ca", "error"),
        ("self-signed", "error"),
        ("no-san", "warning"),
        ("trailing-dot", "note"),
        ("malformed-san:crash", "warning"),
    ]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert "Fix: " in result["message"]["text"]
    strict = [r["ruleId"] for r in sarif(MIXED, strict=True)["runs"][0]["results"]]
    lenient = [r["ruleId"] for r in run["results"]]
    assert set(strict) - set(lenient) == {"rsa-leaf"}


def test_sarif_rules_carry_weakness_severity_and_lesson() -> None:
    rules = {r["id"]: r for r in sarif(MIXED)["runs"][0]["tool"]["driver"]["rules"]}
    assert len(rules) == len(MIXED.findings)
    rule = rules["attacker-ca"]
    assert rule["name"] == "AttackerCa"
    assert rule["properties"]["tags"] == [
        "security",
        "external/cwe/cwe-295",
        "external/cwe/cwe-079",
    ]
    assert 7 <= float(rule["properties"]["security-severity"]) < 9
    assert "The lesson of attacker-ca." in rule["help"]["markdown"]
    assert "Fix: Switch verification on" in rule["help"]["text"]
    # A client that is too strict is no weakness.
    assert "security-severity" not in rules["rsa-leaf"]["properties"]
    assert rules["rsa-leaf"]["properties"]["tags"] == ["correctness"]


def test_sarif_tells_how_the_audit_ended() -> None:
    (invocation,) = sarif(MIXED)["runs"][0]["invocations"]
    assert invocation["exitCode"] == 1
    assert invocation["executionSuccessful"] is True
    told = [n["message"]["text"] for n in invocation["toolExecutionNotifications"]]
    assert told == [
        "tls-1.0: unsupported: because of unsupported",
        "expired: inconclusive: because of inconclusive",
    ]
    (invocation,) = sarif(REPORTS["no first control"])["runs"][0]["invocations"]
    assert invocation["exitCode"] == 3
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["level"] == "error"


def test_sarif_points_at_the_file_that_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my tests").mkdir()
    (tmp_path / "my tests" / "client.py").touch()
    monkeypatch.chdir(tmp_path)
    audited = report(finding("attacker-ca", "vulnerable"))

    def uri(*words: str) -> str:
        log = json.loads(
            as_sarif(audited, conclude(audited), source_of_command(words), strict=False)
        )
        (location,) = log["runs"][0]["results"][0]["locations"]
        found = location["physicalLocation"]["artifactLocation"]["uri"]
        assert isinstance(found, str)
        return found

    assert uri("python3", "my tests/client.py", "{target}") == "my%20tests/client.py"
    assert uri("/usr/bin/curl", "https://{target}") == "curl"
    # Whatever wraps it; and what it is given is not what is run.
    (tmp_path / "ca.pem").touch()
    program = tmp_path / "client"
    program.touch()
    program.chmod(0o755)
    assert uri("env", "A=b", "./client", "{target}") == "client"
    assert uri("timeout", "-k", "1", "5", "nice", "./client") == "client"
    assert uri("sh", "-c", "A=b ./client {target}") == "client"
    assert uri("unknown-wrapper", "-x", "./client") == "client"
    assert uri("env", "A=b", "curl", "--cacert", "ca.pem") == "curl"
    assert uri("env", "A=b", "/opt/client", "{target}") == "client"
    assert uri("go", "run", "./my tests", "{target}") == "my%20tests"
    (tmp_path / "main.go").touch()
    assert uri("go", "run", ".", "{target}") == "main.go"
    assert uri("java", "-jar", "target/client.jar") == "client.jar"
    assert uri("/usr/bin/curl", "x" * 5000) == "curl"


# Files


def test_a_report_takes_the_place_of_an_older_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    path.write_text("an older one, and longer")
    ReportFile("--junit", path).write("a new one")
    assert path.read_text() == "a new one"
    assert list(tmp_path.iterdir()) == [path]
    # It holds no secret: who may read it is for the umask to say.
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_nothing_is_there_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    ReportFile("--junit", path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("an older one")
    with pytest.raises(UnicodeEncodeError):
        ReportFile("--junit", path).write("half of it \ud800")
    assert path.read_text() == "an older one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    ReportFile("--junit", tmp_path / "link").write("report")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "report"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # Open before the report is begun, whatever else this machine does.
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ReportFile("--junit", path).write("report")
        assert os.read(reader, 100) == b"report"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("place", ["nowhere/audit.xml", "file/audit.xml"])
def test_a_place_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=re.escape(f"--junit: cannot write {tmp_path / place}: ")):
        ReportFile("--junit", tmp_path / place)
