"""What is made of the events of an attack: which connections count, and what they come to."""

from collections.abc import Sequence

import pytest
from msgspec import structs

from mitm import audit
from mitm.audit import Case, ClientRun, Finding
from mitm.audit.attack import Attack, Step, load_attack
from mitm.audit.finding import ONE_CONNECTION, Outcome, judge, of_plays
from mitm.audit.play import Play, Position, Stage, plays_of
from mitm.events import (
    Alert,
    CertificatePresented,
    Closed,
    Connected,
    Event,
    HandshakeCompleted,
    Interrupted,
)
from mitm.evidence import Evidence, Observation, Observer
from tests.audit.test_finding import (
    FAILED,
    FINE,
    HUNG,
    RETURNED,
    completed,
    frame,
    hello,
    request,
    sent,
)

GENUINE, FORGED = "genuine", "attacker-ca"


def shown(name: str, number: int, *, at: float = 0, client: str = "127.0.0.1:1") -> list[Event]:
    """A connection that comes, and is shown a certificate."""
    return [
        Connected(time=at, connection=number, client=client),
        hello("A", number),
        CertificatePresented(
            time=at,
            connection=number,
            certificate=name,
            subjects=(),
            issuer="",
            sha256="",
            key="ecdsa",
        ),
    ]


def left(number: int, by: str = "client", at: float = 0) -> Event:
    assert by in ("client", "attacker")
    return Closed(
        time=at,
        connection=number,
        by="client" if by == "client" else "attacker",
        how="eof" if by == "client" else "reset",
        phase="handshake",
    )


def called(number: int) -> list[Event]:
    opened = [completed(number), sent(number=number), frame("SETTINGS", number=number)]
    return [*opened, frame("HEADERS", 1, number=number), request(number=number)]


def turned_away(number: int) -> list[Event]:
    come = [Connected(time=0, connection=number, client="127.0.0.1:1"), hello("A", number)]
    refused = Interrupted(time=0, connection=number, how="reset")
    return [*come, refused, left(number, "attacker")]


CALLED = [*shown(GENUINE, 1), *called(1), left(1)]
LEFT = [*shown(FORGED, 2), left(2)]


def case_of(name: str) -> Case:
    (case,) = audit.forge_suite([load_attack(name)]).cases
    return case


SECOND, FIRST, RESET, RESUMED = map(
    case_of, ("second-connection", "first-connection", "handshake-reset", "resumed-session")
)
CONTROL = Observation("sent", "", Evidence("messages"))
SERVICE = structs.replace(CONTROL, end="still-running")


def judged(
    case: Case,
    seen: Sequence[Event],
    client: ClientRun = FAILED,
    control: Observation = CONTROL,
    *,
    complete: bool = True,
    number: int = 0,
) -> Finding:
    observer = Observer(spared=(GENUINE,))
    for event in seen:
        observer(event)
    play = plays_of(case)[number]
    return judge(case, observer, client, control, play, complete=complete)


@pytest.mark.parametrize(
    ("case", "seen", "client", "outcome", "reason"),
    [
        # What is sent to the genuine server is nobody's fault.
        (SECOND, CALLED, FINE, "not-exercised", "made 1 connection, and none on which"),
        (SECOND, [*CALLED, *LEFT], FAILED, "pass", "rejected"),
        # It may have succeeded on the genuine one, which is no contradiction.
        (SECOND, [*CALLED, *LEFT], FINE, "pass", "rejected: closed without an alert"),
        # What is sent on a forged one is.
        (
            SECOND,
            [*CALLED, *shown(FORGED, 2), *called(2)],
            FINE,
            "vulnerable",
            "connection 2, shown attacker-ca: accepted; read: /a.B/C",
        ),
        (
            SECOND,
            [*CALLED, *LEFT, *shown(FORGED, 3), *called(3)],
            FAILED,
            "vulnerable",
            "connection 3, shown attacker-ca",
        ),
        # Plaintext is on any, and so is HTTP/2's opening in it.
        (
            SECOND,
            [*CALLED, sent(b"GET / HTTP/1.1", encrypted=False, number=2)],
            FINE,
            "vulnerable",
            "connection 2, without TLS: no encryption",
        ),
        (RESET, [*turned_away(1), sent(encrypted=False, number=2)], FINE, "vulnerable", "without"),
        # On one that was turned away as well.
        (
            RESET,
            [*turned_away(1)[:-1], sent(b"GET / HTTP/1.1", encrypted=False), left(1)],
            FINE,
            "vulnerable",
            "connection 1, without TLS",
        ),
        # A part of a request on the genuine one, and all of it again on the forged one.
        (
            case_of("late-forgery"),
            [*shown(GENUINE, 1), *called(1)[:-1], left(1), *shown(FORGED, 2), *called(2), left(2)],
            FAILED,
            "vulnerable",
            "connection 2, shown attacker-ca",
        ),
        # Who is given no handshake, and gives up, has rejected; who goes on has not yet.
        (RESET, turned_away(1), FAILED, "pass", "gave up when it was given no handshake"),
        (RESET, [*turned_away(1), *turned_away(2)], RETURNED, "pass", "no handshake; 2 times"),
        (RESET, turned_away(1), HUNG, "inconclusive", "had not come again"),
        (RESET, [*turned_away(1), *LEFT], FAILED, "pass", "rejected"),
        # Whoever is still running may come again.
        (SECOND, CALLED, HUNG, "inconclusive", "had not come again"),
        (SECOND, [*CALLED, *LEFT], HUNG, "inconclusive", "give it more time"),
        # Attempts that were turned away show that it has not changed its mind.
        (RESET, [*turned_away(1), *turned_away(3), *LEFT], HUNG, "pass", "still trying"),
        # Nothing at all came.
        (SECOND, [], FAILED, "inconclusive", "never connected"),
    ],
)
def test_one_play(
    case: Case, seen: Sequence[Event], client: ClientRun, outcome: Outcome, reason: str
) -> None:
    finding = judged(case, seen, client)
    assert (finding.outcome, reason in finding.reason) == (outcome, True), finding.reason


def test_a_service_that_does_not_come_again_is_not_exercised() -> None:
    assert judged(SECOND, CALLED, HUNG, SERVICE).outcome == "not-exercised"
    assert judged(SECOND, [*CALLED, *LEFT], HUNG, SERVICE).outcome == "pass"


def test_whoever_stops_before_the_last_step_is_not_exercised() -> None:
    seen = [*shown(FORGED, 1), left(1)]
    assert judged(FIRST, seen, complete=False).outcome == "not-exercised"
    assert judged(FIRST, [*seen, *shown(GENUINE, 2), *called(2), left(2)], FINE).outcome == "pass"
    # What it has given away by then, it has.
    given = [*shown(FORGED, 1), *called(1)]
    assert judged(FIRST, given, complete=False).outcome == "vulnerable"
    # Who was turned away has had something to decide.
    assert judged(RESET, turned_away(1), complete=False).outcome == "pass"


def test_whoever_refuses_the_genuine_one_for_what_came_before_is_too_strict() -> None:
    refused = [*shown(FORGED, 1), left(1), *shown(GENUINE, 2), left(2)]
    finding = judged(FIRST, refused, FAILED)
    assert finding.outcome == "too-strict"
    # One that gets through, or has reason to say nothing more, is not.
    assert judged(FIRST, refused, FINE).outcome == "pass"
    accepted = [*shown(FORGED, 1), left(1), *shown(GENUINE, 2), completed(2), left(2)]
    assert judged(FIRST, accepted, FAILED).outcome == "pass"


@pytest.mark.parametrize(("resumed", "outcome"), [(True, "vulnerable"), (False, "not-exercised")])
def test_a_session_counts_if_it_is_resumed(resumed: bool, outcome: Outcome) -> None:
    handshake = HandshakeCompleted(
        time=0, connection=2, version="TLSv1.3", cipher="", alpn="h2", resumed=resumed
    )
    again = called(2)[1:] if resumed else []
    finding = judged(RESUMED, [*CALLED, *shown(FORGED, 2), handshake, *again, left(2)])
    assert finding.outcome == outcome
    if resumed:
        assert "connection 2, shown attacker-ca, resumed: accepted" in finding.reason


def test_what_is_spared_is_no_evidence() -> None:
    finding = judged(SECOND, [*CALLED, *LEFT])
    assert finding.evidence
    assert finding.observation
    assert finding.evidence.reached == "nothing"
    assert finding.evidence.calls == ()
    assert [e.certificate for e in finding.evidence.connections] == [GENUINE, FORGED]
    assert len(finding.observation.made) == 2
    assert len(finding.observation.met) == 1


# Of a host with two addresses both are tried at once.

LATE = "[::1]:2"


@pytest.mark.parametrize(
    ("loser", "raced"),
    [
        ([*shown(FORGED, 2, at=1, client=LATE), left(2, at=3)], True),
        # With an alert, before or after the other one, or by the same way, it has decided.
        (
            [
                *shown(FORGED, 2, at=1, client=LATE),
                Alert(time=2, connection=2, by="client", name="unknown_ca", number=48),
                left(2, at=3),
            ],
            False,
        ),
        ([*shown(FORGED, 2, at=9, client=LATE), left(2, at=10)], False),
        ([*shown(FORGED, 2, at=-2, client=LATE), left(2, at=-1)], False),
        ([*shown(FORGED, 2, at=1), left(2, at=3)], False),
    ],
    ids=["at once", "an alert", "after it", "before it", "one address"],
)
def test_what_is_dropped_for_a_faster_address_is_not_rejected(
    loser: list[Event], raced: bool
) -> None:
    winner = [*shown(GENUINE, 1), *called(1), left(1, at=5)]
    finding = judged(SECOND, [*winner, *loser], FINE)
    assert finding.outcome == ("not-exercised" if raced else "pass")
    assert finding.observation
    assert finding.observation.raced == int(raced)
    assert len(finding.observation.made) == 2 - int(raced)


def test_what_is_closed_before_the_other_address_was_taken_is_rejected() -> None:
    refused = [*shown(FORGED, 1, client=LATE), left(1, at=3)]
    # The next attempt is under way before the close of this one is seen.
    after = [*shown(GENUINE, 2, at=2), *called(2)]
    after = [structs.replace(e, time=4) if isinstance(e, HandshakeCompleted) else e for e in after]
    finding = judged(case_of("first-connection"), [*refused, *after, left(2, at=5)], FINE)
    assert (finding.outcome, finding.observation.raced) == ("pass", 0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("by", "outcome"), [("client", "pass"), ("attacker", "inconclusive")], ids=["itself", "others"]
)
def test_whoever_was_kept_from_going_on_has_not_failed_closed(by: str, outcome: Outcome) -> None:
    """Without its CA, a client may leave before it is shown anything: of its own accord."""
    observer = Observer()
    come = [Connected(time=0, connection=1, client="127.0.0.1:1"), hello("A", 1)]
    for event in [*come, left(1, by)]:
        observer(event)
    case = case_of("ca-empty")
    assert judge(case, observer, FAILED, CONTROL, plays_of(case)[0]).outcome == outcome


def test_data_is_data_on_whatever_connection() -> None:
    winner = [*shown(GENUINE, 1), *called(1), left(1, at=5)]
    other = [*shown(FORGED, 2, at=1, client=LATE), *called(2), left(2, at=3)]
    assert judged(SECOND, [*winner, *other], FINE).outcome == "vulnerable"


# All plays together

PLAY = plays_of(SECOND)[0]


def position(number: int, *, data: bool = True, total: int = 2) -> Play:
    stage = Stage(Step(FORGED), SECOND.chains[FORGED])
    return Play((stage, stage), FORGED, Position(number, total, (), number, data), number)


def came_to(*outcomes: Outcome, plays: Sequence[Play] = ()) -> Finding:
    findings = [Finding(SECOND, outcome, f"reason {n}") for n, outcome in enumerate(outcomes)]
    return of_plays(SECOND, list(zip(plays or [PLAY] * len(findings), findings, strict=True)))


@pytest.mark.parametrize(
    ("outcomes", "decides"),
    [
        (["pass", "pass"], 0),
        (["not-exercised", "pass"], 1),
        (["pass", "vulnerable"], 1),
        (["inconclusive", "vulnerable"], 1),
        (["pass", "inconclusive", "pass"], 1),
        (["too-strict", "inconclusive"], 1),
        (["pass", "too-strict"], 1),
        (["not-exercised", "not-exercised"], 0),
        (["unsupported"], 0),
    ],
)
def test_the_worst_play_decides(outcomes: list[Outcome], decides: int) -> None:
    finding = came_to(*outcomes)
    assert (finding.outcome, finding.reason) == (outcomes[decides], f"reason {decides}")


def test_without_a_play_there_is_one_connection() -> None:
    finding = of_plays(SECOND, [])
    assert (finding.outcome, finding.reason) == ("not-exercised", ONE_CONNECTION)


def test_a_connection_with_data_that_did_not_come_again_is_undecided() -> None:
    plays = [position(1), position(2)]
    finding = came_to("pass", "not-exercised", plays=plays)
    assert finding.outcome == "inconclusive"
    assert "connection 2 of 2, which carries data, did not come again" in finding.reason
    without = came_to("pass", "not-exercised", plays=[position(1), position(2, data=False)])
    assert without.outcome == "pass"
    assert came_to("vulnerable", "not-exercised", plays=plays).outcome == "vulnerable"


@pytest.mark.parametrize(
    ("number", "total", "outcome"),
    [
        (2, 0, "pass"),
        # The first of its kind is none of what went before.
        (1, 0, "inconclusive"),
        # One that came to its end with the genuine certificate makes so many, and no other number.
        (2, 2, "inconclusive"),
    ],
)
def test_how_often_a_loop_connects_is_up_to_the_clock(
    number: int, total: int, outcome: Outcome
) -> None:
    late = Observation("untried", "", Evidence("nothing"), end="still-running")
    findings = [Finding(SECOND, "pass", "rejected"), Finding(SECOND, "not-exercised", "", late)]
    plays = [position(1, total=total), position(number, total=total)]
    assert of_plays(SECOND, list(zip(plays, findings, strict=True))).outcome == outcome


def test_an_attack_is_told_from_a_certificate() -> None:
    assert isinstance(SECOND.attack, Attack)
    assert SECOND.expect == "reject"
