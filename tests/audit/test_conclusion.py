"""The exit code of an audit, and what comes before what."""

from pathlib import Path

import pytest
from msgspec import structs

from mitm.audit import Report
from mitm.audit.baseline import load_baseline
from mitm.audit.conclusion import conclude
from mitm.audit.reports import as_json
from mitm.errors import UserError
from mitm.evidence import Ending, Evidence
from tests.audit.findings import MIXED, SUBJECT, finding, observed, report


@pytest.mark.parametrize(
    ("audited", "strict", "code", "reason"),
    [
        (report(finding("a", "pass")), False, 0, "every certificate"),
        (report(), False, 0, "every certificate"),
        (report(finding("a", "vulnerable")), False, 1, "1 certificate treated wrongly: a"),
        (report(finding("a", "vulnerable", "should")), False, 0, "--strict counts more"),
        (report(finding("a", "vulnerable", "should")), True, 1, "treated wrongly: a"),
        (report(finding("a", "vulnerable", "info")), True, 0, "nothing that must fail a build"),
        (report(finding("a", "too-strict")), False, 0, "--strict counts more"),
        (report(finding("a", "too-strict")), True, 1, "treated wrongly: a"),
        (report(finding("a", "inconclusive")), False, 3, "nothing can be said of 1 certificate: a"),
        (report(finding("a", "inconclusive", "should")), False, 0, "every certificate"),
        (report(finding("a", "unsupported")), False, 3, "none of the certificates can be"),
        (report(finding("a", "unsupported"), finding("b", "pass")), False, 0, "every certificate"),
        # What was seen stands, whatever else is undecided.
        (
            report(finding("a", "inconclusive"), finding("b", "vulnerable")),
            False,
            1,
            "treated wrongly: b",
        ),
        # Without both controls nothing does.
        (report(first="too-strict", last=None), False, 3, "tried first"),
        (report(first="too-strict", last="pass"), False, 3, "tried first"),
        (report(finding("a", "vulnerable"), last="inconclusive"), False, 3, "tried at the end"),
        (report(finding("a", "pass"), last="too-strict"), False, 3, "tried at the end"),
    ],
)
def test_the_exit_code(audited: Report, strict: bool, code: int, reason: str) -> None:
    conclusion = conclude(audited, strict=strict)
    assert conclusion.exit_code == code
    assert reason in conclusion.reason


@pytest.mark.parametrize(
    ("connections", "word"),
    [
        ((), "{target}"),
        ((Ending(1, False, "client", "alert", "handshake", "unknown_ca (48)"),), "{ca}"),
        ((Ending(1, True, "client", "eof", "established"),), "{name}"),
    ],
)
def test_a_control_that_fails_comes_with_advice(connections: tuple[Ending, ...], word: str) -> None:
    control = structs.replace(
        finding("genuine", "inconclusive"),
        observation=observed(Evidence("nothing", connections=connections)),
    )
    assert word in conclude(Report((control,), (), SUBJECT)).advice[0]


def test_controls_that_hold_need_none() -> None:
    assert conclude(MIXED).advice == ()


def baseline_of(tmp_path: Path, audited: Report) -> Path:
    path = tmp_path / "known.json"
    path.write_text(as_json(audited, conclude(audited)))
    return path


def test_what_is_known_passes_what_is_new_fails_and_what_is_fixed_is_named(tmp_path: Path) -> None:
    known = load_baseline(
        baseline_of(
            tmp_path,
            report(
                finding("known", "vulnerable"),
                finding("fixed", "vulnerable"),
                finding("no-longer-strict", "too-strict"),
                finding("hung", "vulnerable"),
                finding("was-fine", "pass"),
            ),
        )
    )
    later = [
        finding("known", "vulnerable"),
        finding("fixed", "pass"),
        finding("no-longer-strict", "pass"),
        finding("hung", "inconclusive", "should"),
        finding("was-fine", "pass"),
    ]
    conclusion = conclude(report(*later), baseline=known)
    assert conclusion.exit_code == 0
    assert conclusion.known == ("known",)
    # Of what is undecided now nobody knows whether it is fixed.
    assert conclusion.fixed == ("fixed", "no-longer-strict")
    worse = conclude(report(*later, finding("new", "vulnerable")), baseline=known)
    assert worse.exit_code == 1
    assert worse.failing == ("new",)


def test_another_outcome_of_the_same_certificate_is_new(tmp_path: Path) -> None:
    known = load_baseline(baseline_of(tmp_path, report(finding("a", "too-strict"))))
    assert conclude(report(finding("a", "vulnerable")), baseline=known).exit_code == 1
    assert conclude(report(finding("a", "too-strict")), strict=True, baseline=known).exit_code == 0


def test_a_baseline_does_not_stand_in_for_a_control(tmp_path: Path) -> None:
    known = load_baseline(baseline_of(tmp_path, MIXED))
    assert conclude(report(first="too-strict", last=None), baseline=known).exit_code == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        (b"", "is no report of"),
        (b"{", "is no report of"),
        (b"[]", "is no report of"),
        (b"{}", "missing required field `findings`"),
        (b'{"findings": [{"certificate": "a"}]}', "missing required field `outcome`"),
        (b'{"findings": [{"certificate": "a", "outcome": "bad"}]}', "Invalid enum value 'bad'"),
        (b"\xff\xfe", "is no report of"),
        (b"[" * 100_000, "is no report of"),
    ],
)
def test_a_baseline_that_is_none_is_refused_in_one_line(
    tmp_path: Path, text: bytes | None, said: str
) -> None:
    path = tmp_path / "known.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(UserError) as error:
        load_baseline(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
