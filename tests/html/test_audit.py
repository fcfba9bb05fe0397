"""The report of an audit as a page, in a real browser: what it says first, and what it obeys."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from mitm.audit import Finding, Report, Subject
from mitm.audit.conclusion import conclude
from mitm.audit.finding import Outcome
from mitm.evidence import Call, Ending, Evidence, Observation
from mitm.html import audit_page
from tests.audit.findings import SECRET, catalogued, finding, report
from tests.html.hostile import HOSTILE, shape

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("wrong-host", "ip-mismatch", "lookalike-prefix", "lookalike-suffix")


class Again:
    """What a command line would be, for pages that were made without one."""

    left_out = False
    whole = ("mitm-demo", "audit", "--", "client")

    def of(self, findings: object) -> tuple[str, ...]:
        assert isinstance(findings, tuple | list)
        return ("mitm-demo", "audit", "--only", ",".join(f.case.name for f in findings))


def names_are_not_checked() -> Report:
    return report(
        *(catalogued(name, "vulnerable") for name in NAMES),
        catalogued("attacker-ca", "pass"),
        catalogued("expired", "pass"),
        finding("odd", "inconclusive"),
        finding("sound", "too-strict", "info"),
        finding("impossible", "unsupported"),
    )


def opened(tab: "Page", tmp_path: Path, told: Report, *, strict: bool = False) -> "Page":
    file = tmp_path / "audit.html"
    file.write_text(audit_page(told, conclude(told, strict=strict), Again()))
    tab.goto(file.as_uri())
    return tab


def test_one_missing_check_is_one_finding_with_all_its_proofs(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, names_are_not_checked())
    assert "Failed: 1 thing is wrong" in tab.inner_text("header")
    (article,) = tab.query_selector_all("#fails ~ article")
    assert "does not check the name" in article.inner_text()
    assert "4 certificates prove it" in article.inner_text()
    proof = article.query_selector("details.proof")
    assert proof
    names = [each.text_content() for each in proof.query_selector_all("summary code")]
    assert names == list(NAMES)
    command = article.query_selector("pre.again")
    assert command
    assert command.inner_text() == f"mitm-demo audit --only {','.join(NAMES)}"


def test_what_fails_comes_first_and_evidence_is_folded(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, names_are_not_checked())
    headings = [each.inner_text() for each in tab.query_selector_all("main h2")]
    assert headings[0] == "What fails"
    assert [each.partition(" (")[0] for each in headings[1:3]] == [
        "Undecided",
        "What no build fails for",
    ]
    assert not any(each.get_attribute("open") for each in tab.query_selector_all("details"))
    assert not tab.is_visible("code:text-is('/a.B/C') >> nth=0")
    tab.click("#fails ~ article details.proof > summary")
    tab.click("details.proof summary:has-text('wrong-host') >> nth=0")
    assert tab.is_visible("code:text-is('/a.B/C') >> nth=0")


def test_the_fix_is_that_of_the_clients_own_stack(tab: "Page", tmp_path: Path) -> None:
    told = structs.replace(
        names_are_not_checked(), subject=Subject("client", stack="grpc-go/1.80.0")
    )
    opened(tab, tmp_path, told)
    assert "InsecureSkipVerify" in tab.inner_text(".fix")
    assert "grpc-go" in tab.inner_text("dt:has(+ .fix)")
    opened(tab, tmp_path, structs.replace(told, subject=Subject("client")))
    assert "InsecureSkipVerify" not in tab.inner_text(".fix")


def test_a_clean_audit_says_so_and_one_without_control_does_not(
    tab: "Page", tmp_path: Path
) -> None:
    opened(tab, tmp_path, report(catalogued("wrong-host", "pass")))
    assert tab.inner_text(".verdict strong") == "Passed"
    assert tab.get_attribute(".verdict", "class") == "verdict good"
    assert tab.query_selector("article") is None
    opened(tab, tmp_path, report(catalogued("wrong-host", "pass"), first="too-strict", last=None))
    assert tab.inner_text(".verdict strong") == "Nothing is proved"
    assert tab.get_attribute(".verdict", "class") == "verdict caution"
    assert tab.inner_text("main h2 >> nth=0") == "The genuine certificate was not accepted"


def test_what_was_read_is_told_where_the_control_failed(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, report(catalogued("wrong-host", "vulnerable"), first="too-strict"))
    assert tab.inner_text(".verdict strong") == "Nothing is proved"
    assert "what was read was read" in tab.inner_text("main")
    assert "wrong-host" in tab.inner_text("main")


def test_what_a_baseline_knows_does_not_stand_among_what_fails(tab: "Page", tmp_path: Path) -> None:
    told = names_are_not_checked()
    conclusion = structs.replace(conclude(told), exit_code=0, failing=(), known=NAMES)
    file = tmp_path / "audit.html"
    file.write_text(audit_page(told, conclusion))
    tab.goto(file.as_uri())
    assert tab.query_selector("#fails") is None
    assert tab.inner_text(".verdict strong") == "Nothing new fails"
    assert tab.get_attribute(".verdict", "class") == "verdict caution"
    assert "does not check the name" in tab.inner_text("section:has(#known)")


def hostile(text: str, outcome: Outcome = "vulnerable") -> Finding:
    """A finding all of whose words are those of somebody who means no good."""
    evidence = Evidence(
        "messages",
        (Call(text, {text: text}, (text,)),),
        (text,),
        (Ending(1, True, text, text, text, text, "messages", text),),
    )
    plain = finding("name", outcome)
    case = structs.replace(plain.case, name=text, title=text, rule=text, fix=text, lesson=text)
    return Finding(
        case, outcome, text, Observation("sent", text, evidence), text, last_lines=(text,)
    )


@pytest.mark.parametrize("control", ["pass", "too-strict"])
def test_nothing_that_anybody_wrote_is_obeyed(
    tab: "Page", tmp_path: Path, control: Outcome
) -> None:
    class Typed(Again):
        def __init__(self, text: str) -> None:
            self.whole = ("mitm-demo", "audit", "--", text)

        def of(self, findings: object) -> tuple[str, ...]:
            return self.whole

    def page(text: str) -> str:
        outcomes: tuple[Outcome, ...] = ("vulnerable", "inconclusive", "too-strict", "crashed")
        more: tuple[Outcome, ...] = ("unsupported", "not-exercised", "pass")
        told = report(*(hostile(text, outcome) for outcome in (*outcomes, *more)), first=control)
        told = structs.replace(
            told,
            controls=(structs.replace(hostile(text, control), outcome=control), told.controls[1]),
            subject=Subject(text, text, text, text, "client", text),
            doubts=(text,),
            problem=text,
        )
        return audit_page(told, conclude(told), Typed(text))

    sound = shape(tab, tmp_path / "page.html", page("harmless"))
    lessons = {"UL", "LI", "P", "PRE", "CODE", "BR", "H3", "H4", "EM", "STRONG"}
    for text in HOSTILE:
        found = shape(tab, tmp_path / "page.html", page(text))
        # A lesson may have paragraphs and code of its own, and nothing that does anything.
        assert {*found} - {*sound} <= {f"{each} " for each in lessons}, text[:100]
        for each in ("A href", "SCRIPT", "DETAILS", "ARTICLE"):
            assert sum(one.startswith(each) for one in found) == sum(
                one.startswith(each) for one in sound
            ), text[:100]


def test_an_enormous_value_is_cut(tmp_path: Path) -> None:
    told = report(hostile("y" * 1_000_000, "inconclusive"))
    told = structs.replace(
        told,
        findings=(structs.replace(told.findings[0], case=finding("name", "inconclusive").case),),
    )
    assert len(audit_page(told, conclude(told))) < 60_000


def test_what_messages_hold_and_credentials_are_left_out() -> None:
    text = audit_page(names_are_not_checked(), conclude(names_are_not_checked()))
    assert "s3cr… (18 characters, masked)" in text
    assert SECRET not in text
    assert "deadbeef" not in text


def test_on_paper_what_proves_something_is_not_folded(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, names_are_not_checked())
    proof = tab.locator("#fails ~ article details.proof summary code").first
    assert not proof.is_visible()
    tab.emulate_media(media="print")
    assert proof.is_visible()


def test_it_fits_a_phone(tab: "Page", tmp_path: Path) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    opened(tab, tmp_path, names_are_not_checked())
    tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_a_client_that_calls_without_end_is_told_once() -> None:
    many = Evidence(
        "headers",
        tuple(Call(f"/a.B/C{number}") for number in range(20_000)),
        (),
        tuple(Ending(n, True, "client", "eof", "established", "", "headers") for n in range(9)),
    )
    busy = catalogued("wrong-host", "vulnerable")
    busy = structs.replace(busy, observation=Observation("sent", "", many))
    text = audit_page(report(busy), conclude(report(busy)))
    assert "/a.B/C0<" in text
    assert "/a.B/C10000<" not in text
    assert len(text) < 60_000
