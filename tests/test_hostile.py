"""Foreign text in every field, through every face: it is shown, and never obeyed.

Whatever a client, a server or a file says ends in a terminal, JSON, XML or a log. Each of these is
read by something that obeys control characters, breaks on half a surrogate pair, or takes a line
for a command.
"""

import io
import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from mitm import events, masking
from mitm.audit import Report
from mitm.audit.conclusion import Conclusion, conclude
from mitm.audit.explanation import explain, explain_control, explain_failure, remarks
from mitm.audit.reports import as_json, as_junit, as_markdown, as_sarif, source_of_command
from mitm.capture import EventPrinter, JsonLines, read_events
from mitm.cli import audit_table, report
from mitm.cli.scenario_view import ScenarioView
from mitm.events import Event, LegEnded, LegStarted, ScenarioStarted
from mitm.evidence import ClientRun, Observer
from mitm.evidence.observer import MAX_SECRETS
from mitm.lab.play import Played
from mitm.masking import plain
from tests.audit.findings import MIXED
from tests.capture.samples import AT, SAMPLES

# One of each kind of trouble.
TROUBLE = (
    "\x1b[2J\x07\x00",  # C0: it clears the screen
    "\x9b31m\x85",  # C1: the same in one byte; a line break
    "a\r\n::error::b",  # a workflow command of GitHub's
    "##vso[task.complete]##[group]",
    "\u202eevil\u2066\u200f\u061c",  # it is read backwards
    "\u2028\u2029\x0b\x0c\x1c",  # line breaks
    "\ud800\udfff",  # halves of surrogate pairs
    "\ufffe\uffff\ue000\u0378",  # no characters, private, unassigned
    "\u200b\u2060\ufeff\u3164\U000e0041",  # nothing to be seen
    "[bold red]markup[/nothing] :smile: [link=http://evil]",
    "]]>&<!--\"'",
    "{target} %s \\x1b",
)
TEXT = st.one_of(
    st.sampled_from(TROUBLE),
    st.text(max_size=20),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"])),
    st.lists(st.sampled_from(TROUBLE), max_size=3).map("".join),
)
ODD_VALUES: list[object] = [float("nan"), float("inf"), 10**30, b"\xff", {"\ud800": None}]

S = TypeVar("S", bound=msgspec.Struct)


def hostile(value: Any, texts: Iterator[str]) -> Any:
    """A value with foreign text in the place of its own, as far as its type allows that."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, msgspec.Struct):
        return _hostile_struct(value, texts)
    if isinstance(value, Mapping):
        return {next(texts): hostile(each, texts) for each in value.values()}
    if isinstance(value, tuple):
        return tuple(hostile(each, texts) for each in value)
    if isinstance(value, list):
        return [*(hostile(each, texts) for each in value), *ODD_VALUES]
    return value


def _hostile_struct(value: S, texts: Iterator[str]) -> S:
    for name in value.__struct_fields__:
        changed = msgspec.structs.replace(value, **{name: hostile(getattr(value, name), texts)})
        # What is one of a few words, or by a type of its own, stays as it is.
        try:
            value = msgspec.convert(msgspec.to_builtins(changed), type(value))
        except (ValueError, TypeError):
            continue
    return value


def _texts(data: st.DataObject) -> Iterator[str]:
    return cycle(data.draw(st.lists(TEXT, min_size=1, max_size=5)))


def _console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    console = report.console()
    console.file = out
    console.width = 60
    return console, out


def assert_harmless(output: str) -> None:
    for line in output.split("\n"):
        assert line.isprintable(), line
        # As a runner reads it: whatever stands before it, if it is blank.
        assert not line.strip().startswith(("::error::", "##vso[", "##[")), line


def assert_is_json(text: str) -> None:
    def refuse(name: str) -> NoReturn:
        raise AssertionError(name)

    assert text.isascii()
    assert_harmless(text)
    json.loads(text, parse_constant=refuse)
    # This one takes no half of a surrogate pair.
    msgspec.json.decode(text.encode())


ANY = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


@given(TEXT)
def test_foreign_text_is_one_line_that_shows_what_it_is(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert_harmless(shown)
    ElementTree.fromstring(f"<a>{escape(shown)}</a>")  # noqa: S314


@pytest.mark.parametrize("text", ["", "Grüße, 東京 😀 ❤️", "a::b, ::1, std::fmt", "50% #1 ##"])
def test_what_is_harmless_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(st.data())
@ANY
def test_every_event_is_shown_in_lines_of_its_own(data: st.DataObject) -> None:
    event = hostile(data.draw(st.sampled_from(SAMPLES)), _texts(data))
    console, out = _console()
    EventPrinter(console, frames=True)(event)
    assert_harmless(out.getvalue())
    assert len(out.getvalue()) < 60 * 2500


@given(data=st.data())
@ANY
def test_every_event_is_written_and_read_back(data: st.DataObject, tmp_path: Path) -> None:
    told = [hostile(each, _texts(data)) for each in data.draw(st.permutations(SAMPLES))[:3]]
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    for event in told:
        log(event)
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(told)
    console, out = _console()
    for event in read_events(lines, "file"):
        EventPrinter(console, frames=True)(event)
    assert_harmless(out.getvalue())


@given(st.data())
@ANY
def test_every_scenario_is_shown_and_told(data: st.DataObject) -> None:
    texts = _texts(data)
    script, *_ = (hostile(each, texts) for each in SAMPLES if isinstance(each, ScenarioStarted))
    client = {"end": "ended", "said": next(texts), "problem": next(texts), "exit_code": 1}
    client |= {"answer": hostile({"user": {"name": "", "more": [1]}}, texts)}
    control = LegEnded(
        time=AT,
        scenario=next(texts),
        number=0,
        leg="genuine",
        verdict="connected",
        reason=next(texts),
        client=client,
        server_calls=({"method": next(texts), "peer": next(texts), "status": next(texts)},),
    )
    attack = msgspec.structs.replace(control, number=1, leg="intercepted", verdict="compromised")
    seen = [hostile(e, texts) for e in SAMPLES if e.connection]
    console, out = _console()
    view = ScenarioView(console, details=True)
    started = LegStarted(
        time=AT, scenario="", number=0, leg="genuine", path=(next(texts),), target=next(texts)
    )
    again = msgspec.structs.replace(started, number=1)
    told: list[Event] = [script, started, control, again, *seen, attack]
    for event in [*told, *told]:
        view(event)
    view.close()
    assert_harmless(out.getvalue())
    observer = Observer()
    for event in seen:
        observer(event)
    played = Played.recorded(script, {0: control, 1: attack}, {1: observer})
    text = masking.as_json(report.as_json(played))
    assert "\n" not in text
    assert_is_json(text)


def _audited(data: st.DataObject) -> tuple[Report, Conclusion]:
    texts = _texts(data)
    audited = msgspec.structs.replace(
        MIXED,
        controls=tuple(_finding(each, texts) for each in MIXED.controls),
        findings=tuple(_finding(each, texts) for each in MIXED.findings),
        subject=hostile(MIXED.subject, texts),
    )
    return audited, hostile(conclude(audited), texts)


def _finding(finding: Any, texts: Iterator[str]) -> Any:
    case = finding.case
    for name in ("name", "title", "rule", "fix", "lesson", "unsupported"):
        case = msgspec.structs.replace(case, **{name: next(texts)})
    changed: dict[str, Any] = {name: next(texts) for name in ("reason", "said", "crash")}
    if finding.observation:
        changed["observation"] = hostile(finding.observation, texts)
    changed["last_lines"] = (next(texts), next(texts))
    return msgspec.structs.replace(finding, case=case, **changed)


@given(st.data())
@ANY
def test_every_report_is_whole_and_harmless(data: st.DataObject) -> None:
    audited, conclusion = _audited(data)
    assert_is_json(as_json(audited, conclusion))
    assert_is_json(
        as_sarif(
            audited, conclusion, source_of_command(["./client", next(_texts(data))]), strict=True
        )
    )
    page = as_markdown(audited, conclusion)
    assert_harmless(page)
    xml = as_junit(audited, conclusion)
    assert_harmless(xml)
    ElementTree.fromstring(xml)  # noqa: S314
    console, out = _console()
    audit_table.show(console, audited, conclusion)
    assert_harmless(out.getvalue())


@given(st.data())
@ANY
def test_every_explanation_is_harmless(data: st.DataObject) -> None:
    audited, _ = _audited(data)
    told = [explain_failure(audited), *remarks(audited), *map(explain_control, audited.controls)]
    for text in [*told, *map(explain, audited.findings)]:
        assert_harmless(text)


@pytest.mark.parametrize("value", ODD_VALUES)
def test_json_of_whatever_there_is(value: object) -> None:
    assert_is_json(masking.as_json({"value": [value]}))


def test_json_that_is_too_deep_is_cut() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert_is_json(masking.as_json(value))
    assert_harmless(masking.as_text(value))


def test_a_client_with_very_many_credentials_does_not_fill_the_memory() -> None:
    observer = Observer()
    for number in range(MAX_SECRETS + 500):
        observer(
            events.Headers(
                time=AT,
                connection=1,
                direction="client",
                stream=2 * number + 1,
                kind="request",
                method="/a.B/C",
                headers=(("x-api-key", f"secret-{number}"),),
            )
        )
    secrets = observer.observation(ClientRun("ended")).secrets
    assert len(secrets) == MAX_SECRETS
    assert "secret-0" in secrets
