"""What findings come to: a table, without anybody being run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mitm.audit import ClientRun, Finding, Report, Subject, load_entry
from mitm.audit.case import CONTROL, described
from mitm.audit.finding import Outcome
from mitm.audit.servers.answer import Answer
from mitm.audit.servers.judge import CONTROL as GOOD_CLIENT
from mitm.audit.servers.judge import case_of
from mitm.audit.servers.way import load_way
from mitm.evidence import Evidence, Observation
from mitm.learn import of_clients, of_servers, of_tests
from mitm.learn.exercise import ClientRules, SuiteRules
from mitm.learn.grade import Grade
from mitm.learn.program import Client, LearnersProgram
from mitm.programs import Ended

RULES = ClientRules(refuse=("attacker-ca", "later"), accept=("intermediate",))
SHOWN = {
    "attacker-ca": load_entry("attacker-ca"),
    "later": load_entry("second-connection"),
    "intermediate": load_entry("intermediate"),
}


def finding(name: str, outcome: Outcome) -> Finding:
    """A finding of a certificate or an attack."""
    seen = Observation("sent", "because", Evidence("messages", credentials=("authorization",)))
    return Finding(described(load_entry(name)), outcome, f"{name} is why", seen)


def of_client(
    outcomes: Sequence[Outcome], controls: Sequence[Outcome] = ("pass", "pass"), code: int = 0
) -> Grade:
    """What outcomes of the three, between two controls, come to."""
    names = [entry.name for entry in SHOWN.values()]
    findings = [finding(*pair) for pair in zip(names, outcomes, strict=True)]
    report = Report(
        tuple(finding(CONTROL, each) for each in controls), tuple(findings), Subject("client")
    )
    client = Client(LearnersProgram((), (), Path(), {}), {}, 1)
    client.runs.append(ClientRun("ended", failed=code != 0, exit_code=code))
    return of_clients.judged(RULES, SHOWN, report, client)


@pytest.mark.parametrize(
    ("outcomes", "comes_to"),
    [
        (("pass", "pass", "pass"), "green"),
        # It makes one connection, which all else attacks.
        (("pass", "not-exercised", "pass"), "green"),
        (("pass", "unsupported", "pass"), "green"),
        (("vulnerable", "pass", "pass"), "red"),
        (("pass", "vulnerable", "pass"), "red"),
        (("pass", "vulnerable", "inconclusive"), "red"),
        (("pass", "pass", "too-strict"), "red"),
        # Time is no witness.
        (("inconclusive", "pass", "pass"), "unproved"),
        (("pass", "inconclusive", "pass"), "unproved"),
        (("pass", "pass", "inconclusive"), "unproved"),
        (("not-exercised", "pass", "pass"), "unproved"),
        (("pass", "pass", "not-exercised"), "unproved"),
    ],
)
def test_a_client_comes_to_what_its_findings_say(
    outcomes: tuple[Outcome, ...], comes_to: str
) -> None:
    graded = of_client(outcomes)
    assert graded.outcome == comes_to
    assert graded.exit_code == {"green": 0, "red": 1, "unproved": 3}[comes_to]
    if comes_to != "green":
        assert "is why" in graded.reason


@pytest.mark.parametrize(
    "controls",
    [("too-strict",), ("inconclusive",), ("pass", "too-strict"), ("pass", "inconclusive")],
)
def test_nothing_is_proved_without_a_control_first_and_last(controls: tuple[Outcome, ...]) -> None:
    assert of_client(("pass", "pass", "pass"), controls).outcome == "unproved"


def test_a_client_that_fails_though_it_was_served_is_not_mended() -> None:
    graded = of_client(("pass", "pass", "pass"), code=1)
    assert graded.outcome == "red"
    assert "it fails all the same" in graded.reason


def of_server(outcome: Outcome, statuses: Sequence[str]) -> Grade:
    controls = [
        Finding(GOOD_CLIENT, "pass", status, answer=Answer("call", status=status))
        for status in statuses
    ]
    way = Finding(case_of(load_way("no-certificate")), outcome, "because")
    return of_servers.judged(tuple(controls), (way,))


@pytest.mark.parametrize(
    ("outcome", "statuses", "comes_to"),
    [
        ("pass", ("OK", "OK"), "green"),
        ("vulnerable", ("OK", "OK"), "red"),
        ("inconclusive", ("OK", "OK"), "unproved"),
        ("not-exercised", ("OK", "OK"), "unproved"),
        # One that answers everybody with an error has turned away everybody.
        ("pass", ("UNKNOWN", "UNKNOWN"), "unproved"),
        ("pass", ("UNIMPLEMENTED", "UNIMPLEMENTED"), "unproved"),
        ("pass", ("OK",), "unproved"),
    ],
)
def test_a_server_comes_to_whom_it_let_in(
    outcome: Outcome, statuses: tuple[str, ...], comes_to: str
) -> None:
    assert of_server(outcome, statuses).outcome == comes_to


@pytest.mark.parametrize(
    ("sound", "flawed", "comes_to"),
    [
        ((0, 0), (1, 1), "green"),
        ((0, 0), (1, 0), "red"),
        ((0, 0), (0, 1), "red"),
        ((1, 0), (1, 1), "unproved"),
        ((0, 5), (1, 1), "unproved"),
        # An error, or a crash, is no test that fails.
        ((0, 0), (1, 2), "unproved"),
        ((0, 0), (-11, 1), "unproved"),
        ((0, 0), (None, 1), "unproved"),
    ],
)
def test_tests_come_to_what_they_pass_and_fail_on(
    sound: tuple[int, int], flawed: tuple[int | None, int], comes_to: str
) -> None:
    rules = SuiteRules(flawed=("a", "b"), sound=("c", "d"))
    codes = zip("cdab", (*sound, *flawed), strict=True)
    ended = {name: Ended("ended", code, b"", b"") for name, code in codes}
    assert of_tests.judged(rules, ended).outcome == comes_to
