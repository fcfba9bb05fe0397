"""Scenarios as a page, in a real browser: the verdict first, who told whom what, and the lesson."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from mitm import events
from mitm.events import Event, LegStarted, Member, ScenarioStarted, ScriptedLeg
from mitm.evidence import Altered, Call, ClientRun, Ending, Evidence
from mitm.html import LeftOut, Scene, run_page
from mitm.html.sequence import diagram
from mitm.lab.play import Played, PlayedLeg
from mitm.verdict import LegResult, ServerCall, Verdict
from tests.browser import watch
from tests.capture.samples import SAMPLES
from tests.html.hostile import HOSTILE, shape
from tests.programs import mitm_demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATH = ("client", "attacker", "server")


def played(
    text: str = "harmless", verdict: Verdict = "compromised", expected: str = "compromised"
) -> Played:
    """A scenario that was played; whatever anybody says in it is this text."""
    script = ScenarioStarted(
        time=0,
        scenario=text,
        title=text,
        client=text,
        client_title=text,
        cast=(
            Member("client", "client", text),
            Member("attacker", "interceptor", text),
            Member("server", "server", text),
        ),
        legs=(
            ScriptedLeg(("client", "server"), "genuine", text, "connected"),
            ScriptedLeg(PATH, "intercepted", text, expected),
        ),
        point=text,
        fix=text,
        how_to_fix=text,
        next=text,
    )
    evidence = Evidence(
        "messages" if verdict == "compromised" else "nothing",
        (Call(text, {"authorization": text}, (text,), ({text: text},), "0"),)
        if verdict == "compromised"
        else (),
        ("authorization",),
        (Ending(1, True, "client", "eof", "established", "", "messages", text),),
        (Altered("server", "message", text, {text: text}, {text: "other"}),),
    )
    run = ClientRun("ended", text, exit_code=0, answer={text: {text: text, "b": text}})
    calls = (ServerCall(text, text, text, text),)
    return Played(
        script,
        (
            PlayedLeg(script.legs[0], LegResult("connected", text, run, calls)),
            PlayedLeg(script.legs[1], LegResult(verdict, text, run, calls, evidence)),
        ),
    )


def seen(*some: Event) -> list[Event]:
    """Events of the leg under attack."""
    begun = LegStarted(
        time=0, scenario="x", number=1, leg="intercepted", path=PATH, target="localhost:1"
    )
    return [begun, *some]


def opened(tab: "Page", tmp_path: Path, *scenes: Scene, left_out: tuple[LeftOut, ...] = ()) -> None:
    file = tmp_path / "run.html"
    file.write_text(run_page(scenes, left_out, ("mitm-demo", "run")), encoding="utf-8")
    tab.goto(file.as_uri())


@pytest.mark.parametrize(
    ("verdict", "mood"),
    [("compromised", "harm"), ("aborted", "good"), ("inconclusive", "caution")],
)
def test_the_verdict_is_one_thing_and_the_script_another(
    tab: "Page", tmp_path: Path, verdict: Verdict, mood: str
) -> None:
    opened(tab, tmp_path, Scene(played(verdict=verdict), [], "# Lesson\n\nThe point of it."))
    assert tab.inner_text(".verdict strong") == verdict.upper()
    assert tab.get_attribute(".verdict", "class") == f"verdict {mood}"
    as_said = verdict == "compromised"
    assert ("Not as the scenario says" in tab.inner_text("main")) is not as_said
    # A lesson is none where something else has come.
    assert ("The point of it." in tab.inner_text("main")) is as_said


def test_legs_stand_side_by_side_and_below_each_other_on_a_phone(
    tab: "Page", tmp_path: Path
) -> None:
    def tops() -> list[float]:
        boxes = [each.bounding_box() for each in tab.query_selector_all(".leg")]
        return [box["y"] for box in boxes if box]

    opened(tab, tmp_path, Scene(played(), seen(*SAMPLES[6:]), "text"))
    tab.set_viewport_size({"width": 1100, "height": 800})
    control, attack = tops()
    assert control == attack
    tab.set_viewport_size({"width": 390, "height": 800})
    control, attack = tops()
    assert control < attack
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_the_diagram_says_who_told_whom_what_and_who_read_it() -> None:
    events_seen = [
        events.ClientHello(
            time=0, connection=1, server_name="x", alpn=(), versions=(), cipher_suites=()
        ),
        events.CertificatePresented(
            time=0, connection=1, certificate="attacker-ca", subjects=("CN=x",), issuer="CN=y",
            sha256="",
        ),
        events.Headers(
            time=0, connection=1, direction="client", stream=1, kind="request", method="/a.B/C",
            headers=(("authorization", "Bearer 0123456789abcdef"),), end_stream=True,
        ),
        events.Closed(
            time=0, connection=1, by="server", how="eof", phase="established", client_bytes=1,
            server_bytes=1,
        ),
    ]  # fmt: skip
    steps = diagram(played().legs[1], ["attacker"], events_seen).steps
    assert [(step.start, step.end, step.read_by) for step in steps] == [
        (0, 1, None),
        (1, 0, None),
        (0, 2, 1),
        (2, 1, None),
    ]
    assert steps[2].mood == "harm"
    assert "0123456789abcdef" not in str(steps)
    assert [step.connection for step in steps] == [1, None, None, None]


def test_whoever_stands_before_the_attacker_is_dialled_first() -> None:
    alert = events.Alert(time=0, connection=1, by="client", name="unknown_ca", number=48)
    path = ("client", "ingress", "attacker", "server")
    leg = structs.replace(played().legs[1], script=ScriptedLeg(path, "intercepted", "x", "aborted"))
    first, second = diagram(leg, ["attacker"], [alert]).steps
    assert (first.start, first.end) == (0, 1)
    # Who dials the attacker is the ingress.
    assert (second.start, second.end) == (1, 2)


def test_bytes_that_are_no_http_are_told_and_http_is_told_by_its_calls() -> None:
    def data(connection: int) -> Event:
        return events.ApplicationData(
            time=0, connection=connection, direction="client", encrypted=True, sample=b"x"
        )

    frame = events.Frame(
        time=0, connection=2, direction="client", stream=0, type="SETTINGS", flags=(), length=0
    )
    steps = diagram(played().legs[1], ["attacker"], [data(1), data(1), data(2), frame]).steps
    (step,) = steps
    assert step.connection == 1
    assert step.mood == "harm"


def test_whoever_tries_for_ever_is_counted() -> None:
    alert = events.Alert(time=0, connection=1, by="client", name="unknown_ca", number=48)
    drawn = diagram(played().legs[1], ["attacker"], [alert] * 5000)
    assert len(drawn.steps) + drawn.left_out == 5000
    assert len(drawn.steps) <= 100


def test_everything_that_can_be_seen_can_be_drawn(tab: "Page", tmp_path: Path) -> None:
    opened(tab, tmp_path, Scene(played(), seen(*SAMPLES[6:]), "text"))
    steps = tab.query_selector_all(".sequence .step")
    assert len(steps) > 20
    for step in steps:
        arrow = step.query_selector(".arrow")
        assert arrow
        box = arrow.bounding_box()
        assert box
        assert box["width"] > 5


def test_an_arrow_leads_from_the_one_to_the_other(tab: "Page", tmp_path: Path) -> None:
    call = events.Headers(
        time=0, connection=1, direction="client", stream=1, kind="request", method="/a.B/C",
        headers=(), end_stream=True,
    )  # fmt: skip
    opened(tab, tmp_path, Scene(played(), seen(call), ""))
    names = tab.query_selector_all(".n3 .names span")
    middles = [box["x"] + box["width"] / 2 for each in names if (box := each.bounding_box())]
    arrow = tab.locator(".n3 .arrow.right").bounding_box()
    eye = tab.locator(".n3 .eye").bounding_box()
    assert arrow
    assert eye
    assert arrow["x"] == pytest.approx(middles[0], abs=2)
    assert arrow["x"] + arrow["width"] == pytest.approx(middles[2], abs=2)
    assert eye["x"] + eye["width"] / 2 == pytest.approx(middles[1], abs=2)


def test_several_scenarios_are_in_one_page_with_those_that_were_not_played(
    tab: "Page", tmp_path: Path
) -> None:
    scenes = (Scene(played(), [], "one"), Scene(played(verdict="aborted"), [], "two"))
    opened(tab, tmp_path, *scenes, left_out=(LeftOut("acme", "pebble is not installed"),))
    head = tab.inner_text("header")
    assert "1 of 2 came out as they say" in head
    assert "pebble is not installed" in head
    tab.click("nav a >> nth=1")
    assert tab.evaluate("location.hash") == "#scenario-2"
    assert tab.query_selector("#scenario-2 h2")


def test_a_leg_that_was_not_played_is_told(tab: "Page", tmp_path: Path) -> None:
    outcome = played()
    left = structs.replace(outcome.legs[0], result=None, left_out="no such policy")
    opened(tab, tmp_path, Scene(structs.replace(outcome, legs=(left, outcome.legs[1])), [], ""))
    assert "Not played: no such policy" in tab.inner_text("main")
    assert "so this proves nothing" in tab.inner_text("main")


def test_a_page_of_nothing_that_could_be_played_says_why(tab: "Page", tmp_path: Path) -> None:
    outcome = played()
    legs = tuple(structs.replace(leg, result=None, left_out="no such tool") for leg in outcome.legs)
    nothing = Scene(structs.replace(outcome, legs=legs), [], "")
    opened(tab, tmp_path, nothing, left_out=(LeftOut("acme", "pebble is not installed"),))
    head = tab.inner_text("header")
    assert "0 scenarios" in head
    assert "no such tool" in head
    assert "pebble is not installed" in head
    assert tab.query_selector("table, article") is None


def hostile(text: str) -> list[Event]:
    """What a client and a server could say on the wire."""
    return seen(
        events.ClientHello(
            time=0, connection=1, server_name=text, alpn=(text,), versions=(text,),
            cipher_suites=(text,),
        ),
        events.CertificatePresented(
            time=0, connection=1, certificate=text, subjects=(text,), issuer=text, sha256=text
        ),
        events.ClientCertificate(
            time=0, connection=1, subject=text, issuer=text, names=(text,), proved=True
        ),
        events.Headers(
            time=0, connection=1, direction="client", stream=1, kind="request", method=text,
            headers=((text, text), ("x-a", text)), end_stream=True,
        ),
        events.Message(
            time=0, connection=1, direction="server", stream=1, method=text, type=text, size=1,
            value={text: [text]},
        ),
        events.Rewritten(
            time=0, connection=1, direction="server", stream=1, method=text, part="message",
            type=text, before={text: text}, after={text: text},
        ),
        events.Alert(time=0, connection=1, by="client", name=text, number=1),
        events.Closed(
            time=0, connection=1, by="client", how="error", phase="established", client_bytes=1,
            server_bytes=1, reason=text,
        ),
    )  # fmt: skip


def test_nothing_that_anybody_wrote_is_obeyed(tab: "Page", tmp_path: Path) -> None:
    def page(text: str) -> str:
        scene = Scene(played(text), hostile(text), text)
        return run_page([scene, scene], [LeftOut(text, text)], ("mitm-demo", text))

    sound = shape(tab, tmp_path / "page.html", page("harmless"))
    lessons = {"UL", "LI", "P", "PRE", "CODE", "BR", "H3", "H4", "EM", "STRONG"}
    for text in HOSTILE:
        found = shape(tab, tmp_path / "page.html", page(text))
        assert {*found} - {*sound} <= {f"{each} " for each in lessons}, text[:100]
        for each in ("A href", "SCRIPT", "DETAILS", "ARTICLE", "SECTION"):
            assert sum(one.startswith(each) for one in found) == sum(
                one.startswith(each) for one in sound
            ), text[:100]


SCENARIO = """---
title: "<script>alert(1)</script> \\u202egnp"
order: 1
cast:
  - {name: client, program: client, policy: skip-verify}
  - {name: attacker, program: interceptor, certificate: attacker-ca}
  - {name: server, program: server}
legs:
  - {path: [client, server], expected: connected}
  - {path: [client, attacker, server], expected: compromised}
point: "'\\"><img src=x onerror=alert(2)>"
fix: "</style><script>alert(3)</script>"
---

# What happens

<script>alert(4)</script> [here](javascript:alert(5)) ![x](http://127.0.0.1:9/x)

```
</code></pre><script>alert(6)</script>
```

# How to fix it

<iframe src="javascript:alert(7)"></iframe> and **so on**
"""


def test_a_scenario_that_somebody_handed_on_is_shown_and_not_obeyed(
    tab: "Page", tmp_path: Path
) -> None:
    mine, page = tmp_path / "mine.md", tmp_path / "page.html"
    mine.write_text(SCENARIO)
    result = mitm_demo("run", mine, "--html", page)
    assert result.code == 0, result
    did = watch(tab)
    tab.goto(page.as_uri())
    told = tab.inner_text("body")
    assert "COMPROMISED" in told
    assert "<script>alert(1)</script>" in told
    assert "<script>alert(4)</script>" in told
    # The lab's own token, which opens nothing.
    assert "Bearer opens-nothing" in told
    assert did.requests == [page.as_uri()]
    assert not did.dialogs + did.errors + did.opened
    assert not tab.query_selector_all("script, iframe, img, a[href^=javascript]")
    assert tab.query_selector(".lesson strong")
    assert tab.inner_text("pre.again") == f"mitm-demo run {mine}"


def test_two_outputs_do_not_go_into_one_file(tmp_path: Path) -> None:
    page = tmp_path / "page"
    result = mitm_demo("run", "insecure", "--html", page, "--events", page)
    assert result.code == 2
    assert "go into one file" in result.err
    assert not page.exists()
