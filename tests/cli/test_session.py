"""`mitm-demo audit --session`, around a test suite that finds its cases by MITM_SESSION."""

import html
import json
import os
import shlex
import signal
import ssl
import sys
import urllib.request
from itertools import takewhile
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cli.suite import TOKEN, call
from tests.programs import MITM_DEMO, Result, alive, gone, mitm_demo, refused, running

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


def test_a_certificate_that_ends_the_program_is_told_as_a_crash_and_clears_nobody() -> None:
    result = session(*SUITE, "--abort=attacker-ca")
    assert result.code == 3, result
    assert "attacker-ca:crash" in result.out
    assert "it was shown the certificate, and ended by SIGABRT" in result.out
    # What would have come behind it.
    assert "never tried" in result.out[result.out.index("wrong-host") :]
    careless = session(*SUITE, "--abort=attacker-ca", "--careless")
    assert "accepted; read: /me" in careless.out


def test_what_a_program_has_not_asked_about_when_it_fails_is_undecided() -> None:
    """As a runner's that has a process for each test: its own exit code tells of no crash."""
    result = session(*SUITE, "--exit=wrong-host", only="attacker-ca,wrong-host")
    assert result.code == 3, result
    undecided = result.out[result.out.index("Inconclusive") : result.out.index("Passed")]
    assert "wrong-host" in undecided
    assert "its test ended before it asked what came of that" in undecided
    assert "attacker-ca" not in undecided


def test_a_case_that_was_never_tried_is_told() -> None:
    result = session(*SUITE, "genuine", "genuine-again", "attacker-ca", "mixed-case")
    assert result.code == 3
    assert "nothing can be said of 1 certificate: wrong-host" in result.out
    assert "never tried" in result.out
    assert "cut short" not in result.out


def test_tests_that_end_by_themselves_before_the_last_case_are_told() -> None:
    result = session(*SUITE, "genuine", "attacker-ca")
    assert result.code == 3
    assert "it came to the last case: was it cut short?" in result.out


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


def test_ctrl_c_ends_the_tests_and_tells_what_was_judged(tmp_path: Path) -> None:
    fifo, temporary = tmp_path / "fifo", tmp_path / "tmp"
    os.mkfifo(fifo)
    temporary.mkdir()
    # Its tests, and then it waits to be ended, with a child of its own.
    script = f"{shlex.join(map(str, SUITE[1:]))} --careless; sleep 600 & echo $$ $! > {fifo}; wait"
    words = ("--only", SOME, "--junit", tmp_path / "junit.xml", "--", "sh", "-c", script)
    command = (MITM_DEMO, "audit", "--session", *words)
    with running(*command, TMPDIR=str(temporary)) as process:
        pids = [int(pid) for pid in fifo.read_text().split()]
        assert all(map(alive, pids))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert gone(*pids)
    assert list(temporary.iterdir()) == []
    assert "2 certificates treated wrongly: attacker-ca, wrong-host" in out
    assert (tmp_path / "junit.xml").exists()


def test_a_time_limit_ends_the_tests() -> None:
    result = session("--timeout", "5", "--", "sh", "-c", "sleep 600")
    assert result.code == 3
    assert "the control failed" in result.out
    assert "was still running after 5 s" in result.out


def test_tests_that_fail_before_they_begin_are_told() -> None:
    """A mistake that a compiler finds, say."""
    result = session("--", "sh", "-c", "exit 7")
    assert result.code == 3
    assert "The command failed: exit code 7" in result.out
    assert "The command failed" not in session("--", "true").out


def test_who_never_asked_for_the_cases_is_told_where_they_are() -> None:
    result = session("--", "true")
    assert result.code == 3
    assert "$MITM_SESSION/cases" in result.out


def test_reports_and_baseline_are_those_of_every_audit(tmp_path: Path) -> None:
    known, junit, sarif = tmp_path / "known.json", tmp_path / "a.xml", tmp_path / "a.sarif"
    first = session("--json", "--junit", junit, "--sarif", sarif, *SUITE, "--careless")
    assert first.code == 1
    assert "attacker-ca" in junit.read_text()
    assert "attacker-ca" in sarif.read_text()
    known.write_text(first.out)
    second = session("--baseline", known, *SUITE, "--careless")
    # What is known fails no test either.
    assert "--- FAIL" not in second.out
    assert second.code == 0, second


def test_packets_and_secrets_are_recorded(tmp_path: Path) -> None:
    pcap, keylog = tmp_path / "all.pcapng", tmp_path / "keys"
    result = session("--pcap", pcap, "--keylog", keylog, *SUITE)
    assert result.code == 0, result
    assert pcap.stat().st_size > 1000
    assert "SERVER_TRAFFIC_SECRET_0" in keylog.read_text()


def test_another_name_and_twins_over_tls_1_2() -> None:
    result = session("--name", "server.lab.mitm-demo.localhost", "--tls", "1.2", *SUITE)
    assert "--- pass: attacker-ca:tls-1.2" in result.out, result


def test_what_only_good_clients_refuse_fails_a_test_with_strict() -> None:
    only = "ca-without-cert-sign"
    result = session(*SUITE, "--careless", only=only)
    assert (result.code, "--- FAIL" in result.out) == (0, False)
    result = session("--strict", *SUITE, "--careless", only=only)
    assert (result.code, "--- FAIL" in result.out) == (1, True)


# present


def test_everything_is_presented_until_ctrl_c(tmp_path: Path) -> None:
    with running(
        MITM_DEMO, "present", "expired", "second-connection", TMPDIR=str(tmp_path)
    ) as process:
        assert process.stdout
        lines = list(iter(process.stdout.readline, "\n"))
        url = lines[0].strip()
        with urllib.request.urlopen(f"{url}cases") as answer:  # noqa: S310
            cases = {case["name"]: case for case in json.load(answer)["cases"]}
        assert {"genuine", "expired", "second-connection-3"} <= set(cases)
        with urllib.request.urlopen(url) as answer:  # noqa: S310
            assert b"<!doctype html>" in answer.read()
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            call(cases["expired"], careless=False)
        call(cases["genuine"], careless=False)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert list(tmp_path.iterdir()) == []
    (line,) = [line for line in lines if line.startswith("expired ")]
    assert cases["expired"]["target"] in line
    assert "reject (must)" in line


def test_a_browser_that_goes_on_finds_a_page_and_others_their_answer() -> None:
    with running(MITM_DEMO, "present", "--json", "expired") as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        assert told["session"].startswith("http://127.0.0.1:")
        assert told["left_out"] == []
        case = told["cases"][0]
        context = ssl.create_default_context(cafile=case["ca"])
        with urllib.request.urlopen(f"https://{case['target']}/", context=context) as answer:
            assert answer.headers.get_content_type() == "text/plain"
            assert b"mitm-demo" in answer.read()
        with grpc.secure_channel(
            case["target"], grpc.ssl_channel_credentials(Path(case["ca"]).read_bytes())
        ) as channel:
            ask: Any = channel.unary_unary("/users.v1.UserService/GetUser")
            assert ask(b"", timeout=20) == b""
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("word", "why"), [("same-process", "called twice"), ("parent-domain", "give a longer name")]
)
def test_what_is_asked_for_and_not_presented_is_told(word: str, why: str) -> None:
    with running(MITM_DEMO, "present", "expired", word) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        lines = list(takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
        (line,) = [line for line in lines if line.startswith("Not presented: ")]
        assert word in line
        assert why in line
        with urllib.request.urlopen(url) as answer:  # noqa: S310
            page = answer.read().decode()
        assert line.removeprefix("Not presented: ").strip() in html.unescape(page)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_word_that_means_nothing_is_told() -> None:
    assert "did you mean 'expired'" in refused(mitm_demo("present", "expird"))
