"""The picture of a scenario: what a viewer is told, by what came of its legs."""

import msgspec
import pytest

from mitm.events import Member, ScenarioStarted, ScriptedLeg
from mitm.evidence import ClientRun, Evidence
from mitm.evidence.records import Altered, Call, Ending
from mitm.lab.picture import Picture, Said, picture
from mitm.lab.play import Played, PlayedLeg
from mitm.verdict import LegResult, ServerCall, Verdict

ANSWER: dict[str, object] = {"user": {"id": 1, "name": "Mallory"}}
ANSWERED = ClientRun(end="ended", exit_code=0, answer=ANSWER)
FAILED = ClientRun(end="ended", exit_code=1, answer={"error": {"code": "UNAVAILABLE"}})
CAST = (
    Member("client", "client"),
    Member("proxy", "ingress"),
    Member("attacker", "interceptor"),
    Member("server", "server"),
)
READ = Evidence(
    reached="messages",
    calls=(Call("/a.B/C", {"authorization": "Bearer opens-nothing-0123abcd"}, ({"id": "1"},)),),
    credentials=("authorization",),
)
NOTHING = Evidence(reached="nothing")


# Path, expected verdict, verdict, evidence.
Told = tuple[str, str, Verdict | None, Evidence | None]


def played(*legs: Told, policy: str = "ca-file") -> Picture:
    """What is shown of legs."""
    scripted = tuple(
        ScriptedLeg(
            path=tuple(path.split()),
            leg="intercepted" if "attacker" in path else "genuine",
            policy=policy,
            expected=expected,
        )
        for path, expected, _, _ in legs
    )
    script = ScenarioStarted(
        time=0.0,
        scenario="mine",
        title="Of a test",
        client="mine",
        client_title="Mine",
        cast=CAST,
        legs=scripted,
        point="The point.",
        fix="The fix.",
        how_to_fix="At length.",
        next="yours",
    )
    results = [
        verdict
        and LegResult(
            verdict,
            "a reason",
            ANSWERED if verdict in ("connected", "compromised", "exposed") else FAILED,
            (ServerCall("/a.B/C", "127.0.0.1:1", "OK"),) if verdict == "connected" else (),
            evidence,
        )
        for _, _, verdict, evidence in legs
    ]
    return picture(
        Played(
            script,
            tuple(
                PlayedLeg(leg, result or None, "" if result else "for want of it")
                for leg, result in zip(scripted, results, strict=True)
            ),
        )
    )


CONTROL: Told = ("client server", "connected", "connected", None)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("aborted", "compromised"), "compromised"),
        (("exposed", "compromised"), "compromised"),
        (("exposed", "aborted"), "exposed"),
        (("aborted", "inconclusive"), "inconclusive"),
        (("unreached", "aborted"), "unreached"),
        (("aborted", "aborted"), "aborted"),
    ],
)
def test_the_verdict_is_the_worst_that_was_done(
    verdicts: tuple[Verdict, ...], worst: Verdict
) -> None:
    attacks: list[Told] = [("client attacker server", each, each, NOTHING) for each in verdicts]
    shown = played(CONTROL, *attacks)
    assert shown.verdict == worst
    assert shown.legs[shown.shown].leg == "intercepted"
    assert shown.legs[shown.shown].verdict == worst


def test_a_defence_is_good_and_what_was_read_is_harm() -> None:
    aborted = played(CONTROL, ("client attacker server", "aborted", "aborted", NOTHING))
    assert (aborted.mood, aborted.legs[1].read) == ("good", (Said("nothing", "good"),))
    fooled = played(CONTROL, ("client attacker server", "compromised", "compromised", READ))
    assert fooled.mood == "harm"
    assert Said("authorization: Bearer opens-nothing-0123abcd", "harm") in fooled.legs[1].read
    assert Said("asked: id: 1", "harm") in fooled.legs[1].read
    assert Said("that its server answered id: 1, name: Mallory") in fooled.legs[1].believed
    assert fooled.point == "The point."
    assert fooled.as_scripted


@pytest.mark.parametrize("verdict", ["aborted", "unreached", "inconclusive"])
def test_without_its_control_nothing_is_good(verdict: Verdict) -> None:
    failed: Told = ("client server", "connected", "failed", None)
    shown = played(failed, ("client attacker server", "aborted", verdict, NOTHING))
    leg = shown.legs[1]
    assert (shown.mood, leg.proved) == ("caution", False)
    assert "good" not in {said.mood for said in (*leg.believed, *leg.read)}
    assert not shown.as_scripted
    assert (shown.point, shown.fix, shown.how_to_fix) == ("", "", "")


def test_what_was_decrypted_stays_harm_without_a_control() -> None:
    failed: Told = ("client server", "connected", "failed", None)
    shown = played(failed, ("client attacker server", "compromised", "compromised", READ))
    assert shown.mood == "harm"


def test_a_verdict_that_proves_nothing_calls_nothing_good() -> None:
    shown = played(CONTROL, ("client attacker server", "aborted", "inconclusive", NOTHING))
    assert shown.mood == "caution"
    assert shown.legs[1].read == (Said("nothing"),)


def test_it_is_the_proxy_that_left() -> None:
    (said, *_) = (
        played(CONTROL, ("client proxy attacker server", "aborted", "aborted", NOTHING))
        .legs[1]
        .believed
    )
    assert said.text.endswith(": proxy left")


def test_a_client_that_fetches_the_certificate_is_told_of_as_such() -> None:
    first = Ending(1, True, "client", "eof", "established")
    second = Ending(2, True, "client", "eof", "established", reached="messages")
    evidence = msgspec.structs.replace(READ, connections=(first, second))
    attack: Told = ("client attacker server", "compromised", "compromised", evidence)
    told = played(CONTROL, attack, policy="skip-verify").legs[1].connections
    assert "came for the certificate alone" in told[0].text
    assert "came for the certificate alone" not in told[1].text
    # A client of another policy may have left for other reasons.
    told = played(CONTROL, attack).legs[1].connections
    assert "came for the certificate alone" not in told[0].text


def test_both_versions_of_what_was_changed_are_kept() -> None:
    altered = Altered("server", "message", "a.b.User", {"name": "Nicolas", "id": "1"},
                      {"name": "Mallory", "id": "1"})  # fmt: skip
    evidence = msgspec.structs.replace(READ, altered=(altered,))
    leg = played(CONTROL, ("client attacker server", "compromised", "compromised", evidence)).legs[
        1
    ]
    assert leg.changed[0].what == "User"
    assert leg.changed[0].receiver == "client"
    assert ("name", "Nicolas", "Mallory") in leg.changed[0].fields
    assert Said("changed name: Nicolas → Mallory", "harm") in leg.read


def test_what_was_not_played_is_nobodys_merit() -> None:
    shown = played(CONTROL, ("client attacker server", "aborted", None, None))
    assert shown.verdict == "connected"
    assert shown.legs[1].verdict is None
    assert shown.legs[1].reason == "for want of it"


def test_foreign_text_is_harmless() -> None:
    call = Call("/a.B/\x1b[2J", {}, ({"id\n": "\u202e1"},))
    evidence = msgspec.structs.replace(READ, calls=(call,), credentials=())
    shown = played(CONTROL, ("client attacker server", "compromised", "compromised", evidence))
    for said in shown.legs[1].read:
        assert said.text.isprintable()
