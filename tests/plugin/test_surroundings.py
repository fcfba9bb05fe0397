"""What the plugin does to test runs: those that do not use it, and those over several processes."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mitm import pytest_plugin
from tests.plugin.conftest import Run

# Seconds. What counts is what the plugin adds to pytest, on a machine that does nothing else.
IMPORT_LIMIT = 0.020


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_a_run_that_does_not_use_it_loads_nothing_of_it() -> None:
    program = (
        "import sys, json, pytest\n"
        "before = set(sys.modules)\n"
        "import mitm.pytest_plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    assert json.loads(python(program)) == [
        "mitm",
        "mitm.pytest_plugin",
        "mitm.pytest_plugin.settings",
    ]


def test_it_takes_no_longer_than_20_milliseconds_to_import() -> None:
    program = (
        "import pytest, time\n"
        "begin = time.process_time()\n"
        "import mitm.pytest_plugin\n"
        "print(time.process_time() - begin)\n"
    )
    # Seconds of CPU, the best of some: whoever else uses the machine is not what is measured.
    assert min(float(python(program)) for _ in range(3)) < IMPORT_LIMIT


def test_a_test_that_uses_no_fixture_starts_no_thread(run: Run) -> None:
    result = run(
        """
        import sys, threading

        def test_nothing():
            assert "mitm-demo" not in {thread.name for thread in threading.enumerate()}
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*worth knowing*")


def test_one_thread_serves_all_tests_and_is_gone_at_the_end(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        """
        import threading

        def pytest_unconfigure():
            names = [thread.name for thread in threading.enumerate()]
            print("left:", [name for name in names if name.startswith("mitm-demo")])
        """
    )
    result = run(
        """
        import clients, threading

        def threads():
            return [t.name for t in threading.enumerate() if t.name.startswith("mitm-demo")]

        def test_first(mitm_audit):
            mitm_audit(clients.checks, only="self-signed")
            assert threads() == ["mitm-demo"]

        def test_second(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server)
            assert threads() == ["mitm-demo"]
        """,
        "--mitm-certs=self-signed",
        "-s",
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["left: []"])


def test_it_does_not_collide_with_the_users_packages(run: Run, pytester: pytest.Pytester) -> None:
    for name in ("proto", "server", "client", "certs", "users", "scenarios"):
        pytester.makepyfile(**{f"{name}/__init__": "MINE = True"})
    result = run(
        """
        import proto, server, client, certs, users, scenarios
        import clients

        def test_client(mitm_audit):
            mitm_audit(clients.calls, only="self-signed")
            assert all(m.MINE for m in (proto, server, client, certs, users, scenarios))
        """,
        afresh=True,
    )
    result.assert_outcomes(passed=1)


TWO_FIXTURES = """
import clients, pytest

def test_correct(forged_server):
    with forged_server.must_abort():
        clients.checks(forged_server)

def test_careless(forged_server):
    with forged_server.must_abort():
        clients.checks_nothing(forged_server)

@pytest.mark.parametrize("client", [clients.calls, clients.calls_whom_it_meets])
def test_whole(mitm_audit, client):
    mitm_audit(client)
"""
SOME = "--mitm-certs=attacker-ca,long-chain,no-san,self-signed"


def outcomes_of(path: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314  # our own file
        failure = case.find("failure")
        remarks = [p.get("value", "") for p in case.iter("property")]
        text = "" if failure is None else failure.text or ""
        found[case.get("name", "")] = (text, " ".join(remarks))
    return found


def test_results_on_two_workers_are_those_on_none(run: Run, pytester: pytest.Pytester) -> None:
    alone = run(TWO_FIXTURES, SOME, "--junitxml=alone.xml")
    spread = run(TWO_FIXTURES, SOME, "--junitxml=spread.xml", "-n", "2")
    alone.assert_outcomes(passed=9, failed=3)
    spread.assert_outcomes(passed=9, failed=3)
    assert outcomes_of(pytester.path / "alone.xml") == outcomes_of(pytester.path / "spread.xml")
    # What passing tests had to tell has come across as well.
    remark = "test_it.py::test_correct[[]no-san]: no-san: vulnerable (should): *"
    for result in (alone, spread):
        result.stdout.fnmatch_lines([remark])


def test_annotations_of_a_users_tests_are_there_to_import() -> None:
    assert pytest_plugin.ForgedServer.__name__ == "ForgedServer"
    assert pytest_plugin.MitmAudit.__name__ == "MitmAudit"
    with pytest.raises(AttributeError):
        _ = pytest_plugin.no_such_thing


def test_the_whole_catalogue_is_tried_on_grpcio_in_process(run: Run) -> None:
    result = run(
        """
        import clients
        import grpc
        from mitm.audit import catalogue

        # A core of 1.60 takes an e-mail address for a name; one of 1.85 does not.
        TAKEN = ["email-san"] if grpc.__version__.startswith("1.60.") else []

        def test_client(mitm_audit):
            report = mitm_audit(clients.calls, exclude=TAKEN)
            assert len(report.findings) == len(catalogue()) - 1 - len(TAKEN)
        """
    )
    result.assert_outcomes(passed=1)
