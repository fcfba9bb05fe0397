"""`mitm-demo audit --session`, around a test suite that finds its cases by MITM_SESSION."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.suite import TOKEN
from tests.programs import Result, mitm_demo, refused

SUITE = ("--", sys.executable, Path(__file__).parent / "suite.py")

# Two that every client must refuse and one that it must accept.
SOME = "attacker-ca,mixed-case,wrong-host"


def session(*words: str | Path, only: str = SOME) -> Result:
    """Run a session; options first, then `--` and its command."""
    return mitm_demo("audit", "--session", *(("--only", only) if only else ()), *words)


def test_a_sound_client_passes() -> None:
    result = session(*SUITE)
    assert result.code == 0, result
    for line in ("--- pass: genuine", "--- pass: attacker-ca", "--- pass: genuine-again"):
        assert line in result.out.splitlines()
    assert "Exit code 0" in result.out
    assert result.out.index("--- pass: genuine-again") < result.out.index("Audited: ")


def test_and_a_careless_one_fails_with_what_was_read_of_it() -> None:
    result = session(*SUITE, "--careless")
    assert result.code == 1, result
    assert "--- FAIL: attacker-ca" in result.out
    assert "--- FAIL: wrong-host" in result.out
    assert "--- pass: mixed-case" in result.out
    assert "2 certificates treated wrongly: attacker-ca, wrong-host" in result.out
    assert TOKEN not in result.out


def test_what_nobody_has_judged_is_judged_by_what_was_seen() -> None:
    assert session(*SUITE, "--careless", "--pass").code == 1


def test_a_command_that_fails_for_another_reason_proves_nothing() -> None:
    result = session(*SUITE, "--fail")
    assert result.code == 3
    assert "the command failed: exit code 7" in result.out


def test_a_case_that_was_never_tried_is_told() -> None:
    result = session(*SUITE, "genuine", "genuine-again", "attacker-ca", "mixed-case")
    assert result.code == 3
    assert "nothing can be said of 1 certificate: wrong-host" in result.out
    assert "never tried" in result.out


def test_json_is_alone_on_standard_output() -> None:
    result = session("--json", *SUITE)
    assert result.code == 0, result
    report = json.loads(result.out)
    assert [each["outcome"] for each in report["findings"]] == ["pass"] * 3
    assert "--- pass: genuine" in result.err


@pytest.mark.parametrize(
    "option",
    [
        ("--jobs", "2"),
        ("--mode", "connect"),
        ("--listen", "localhost:0"),
        ("--client", "python"),
        ("--roots", "system"),
        ("--limbo", "limbo.json"),
    ],
    ids=lambda option: option[0],
)
def test_what_makes_no_sense_with_it_is_refused(option: tuple[str, ...]) -> None:
    assert option[0] in refused(session(*option, *SUITE))


def test_a_session_takes_a_command() -> None:
    assert "go test ./..." in refused(session())


def test_placeholders_are_not_filled_in() -> None:
    assert "MITM_SESSION" in refused(session(*SUITE, "{target}"))


def test_a_command_that_cannot_be_started_is_told() -> None:
    assert "cannot start" in refused(session("--", "./no-such-command"))
