"""What a person is told: no more lines than there is to say, and no command that leads nowhere."""

import pytest
from msgspec import structs

from mitm.audit import Finding
from mitm.audit.explanation import explain, first_paragraph, untried
from tests.audit.findings import catalogued

CLOCK = "needs the clock at 2024-01-{:02d}T00:00:00+00:00"


def unsupported(*reasons: str) -> list[Finding]:
    case = catalogued("expired", "vulnerable").case
    return [
        Finding(structs.replace(case, name=f"bettertls::tc{number}"), "unsupported", reason)
        for number, reason in enumerate(reasons)
    ]


def test_thousands_that_cannot_be_presented_are_one_short_line() -> None:
    times = [CLOCK.format(1 + number % 28) for number in range(6000)]
    findings = unsupported(*times, *["no private key for the leaf"] * 9)
    (line,) = untried(findings, "--name")
    assert line == (
        "6009 of 6009 cannot be presented: needs another clock (6000); "
        "no private key for the leaf (9); see --json"
    )
    many = unsupported(*times, *(f"reason {number}" for number in range(500)))
    (line,) = untried(many, "--name")
    assert "and 496 other reasons" in line
    assert len(line) < 400


def test_a_few_are_named_by_their_reason() -> None:
    """The twin: what a person can take in is told."""
    lines = untried(unsupported(CLOCK.format(1), CLOCK.format(2), "no key"), "--name")
    assert lines == [
        "2 cannot be presented: needs another clock: bettertls::tc0, bettertls::tc1",
        "1 cannot be presented: no key: bettertls::tc2",
    ]


def test_why_has_no_links_that_lead_nowhere() -> None:
    lesson = catalogued("attacker-ca-rsa", "vulnerable").case.lesson
    assert "](attacker-ca.md)" in lesson
    assert first_paragraph(lesson).startswith("This is attacker-ca with another kind of key")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("expired", "mitm-demo show expired"),
        ("expired:crash", "mitm-demo show expired"),
        # A test case of x509-limbo's, and a recipe of one's own.
        ("rfc5280::nc::excluded", ""),
        ("mine", ""),
    ],
)
def test_a_lesson_is_named_where_there_is_one(name: str, more: str) -> None:
    case = structs.replace(catalogued("expired", "vulnerable").case, name=name)
    told = explain(Finding(case, "vulnerable", "accepted"))
    assert ("mitm-demo show" in told) == bool(more)
    assert more in told
