"""From a server's answer to an outcome: the table of docs/probe.md."""

import pytest

from mitm.audit import Finding, Report, Subject
from mitm.audit.conclusion import conclude
from mitm.audit.finding import Outcome
from mitm.audit.servers.answer import Answer
from mitm.audit.servers.judge import CONTROL, NOUN, judge, judge_control
from mitm.audit.servers.way import all_ways

WAYS = {way.name: way for way in all_ways()}


def call(status: str) -> Answer:
    return Answer("call", status, status, asked=True, shown=True)


GOOD = call("OK")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (call("OK"), "vulnerable"),
        (call("UNIMPLEMENTED"), "vulnerable"),
        (call("NOT_FOUND"), "vulnerable"),
        (call("UNKNOWN"), "vulnerable"),
        (call("HTTP 200"), "vulnerable"),
        (call("UNAUTHENTICATED"), "pass"),
        (call("PERMISSION_DENIED"), "pass"),
        (call("HTTP 400"), "pass"),
        (call("HTTP 403"), "pass"),
        (call("UNAVAILABLE"), "inconclusive"),
        (call("HTTP 502"), "inconclusive"),
        (Answer("handshake", "alert unknown_ca (48)", shown=True), "pass"),
        (Answer("connection", "closed without an alert", shown=True), "pass"),
        (Answer("reset", "the stream was reset: REFUSED_STREAM", shown=True), "pass"),
        (Answer("connection", "no answer within 5 s", silent=True, shown=True), "inconclusive"),
    ],
)
def test_who_gets_as_far_as_an_answer_got_in(answer: Answer, outcome: Outcome) -> None:
    assert judge(WAYS["client-self-signed"], answer, GOOD).outcome == outcome
    # What a sound server may take is no hole.
    sound: dict[Outcome, Outcome] = {"vulnerable": "pass", "pass": "too-strict"}
    expected = sound.get(outcome, outcome)
    assert judge(WAYS["client-no-eku"], answer, GOOD).outcome == expected


@pytest.mark.parametrize("status", ["UNAVAILABLE", "HTTP 404", "HTTP 502"])
def test_who_gets_the_good_ones_answer_got_in_whatever_it_is(status: str) -> None:
    assert judge(WAYS["no-certificate"], call(status), call(status)).outcome == "vulnerable"


@pytest.mark.parametrize("name", ["other-server-name", "other-authority", "path-without-slash"])
def test_elsewhere_there_may_be_another_service(name: str) -> None:
    assert judge(WAYS[name], call("UNIMPLEMENTED"), GOOD).outcome == "pass"
    assert judge(WAYS[name], GOOD, GOOD).outcome == "vulnerable"


def test_a_path_is_no_proof_where_there_is_no_such_method() -> None:
    none = call("UNIMPLEMENTED")
    found = judge(WAYS["path-without-slash"], none, none)
    assert found.outcome == "not-exercised"
    assert "--method" in found.reason


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (call("OK"), "pass"),
        (call("UNIMPLEMENTED"), "pass"),
        (call("PERMISSION_DENIED"), "too-strict"),
        (Answer("connection", "closed without an alert"), "too-strict"),
        (Answer("connection", "no answer within 5 s", silent=True), "inconclusive"),
    ],
)
def test_nothing_is_proved_unless_the_good_one_gets_in(answer: Answer, outcome: Outcome) -> None:
    control = judge_control(answer)
    assert control.outcome == outcome
    turned_away = judge(WAYS["no-certificate"], Answer("handshake", "alert"), GOOD)
    subject = Subject("server", noun=NOUN)
    report = Report((judge_control(GOOD), control), (turned_away,), subject)
    assert conclude(report).exit_code == (0 if outcome == "pass" else 3)


def test_the_good_one_is_to_get_the_same_answer_in_the_end() -> None:
    assert judge_control(call("NOT_FOUND"), GOOD).outcome == "inconclusive"
    assert judge_control(GOOD, GOOD) == Finding(
        CONTROL, "pass", "gets in: answered OK", noun=NOUN, answer=GOOD
    )


def test_what_binds_every_server_and_is_undecided_is_no_pass() -> None:
    silent = Answer("connection", "no answer within 5 s", silent=True)
    undecided = judge(WAYS["no-certificate"], silent, GOOD)
    control = judge_control(GOOD)
    report = Report((control, control), (undecided,), Subject("server", noun=NOUN))
    told = conclude(report)
    assert told.exit_code == 3
    assert told.reason == "inconclusive: nothing can be said of 1 way: no-certificate"
