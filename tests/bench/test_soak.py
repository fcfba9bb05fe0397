"""The endurance run plays what it says, and tells a proxy that grows and a call gone astray."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench import usage
from bench.soak import __main__ as soak
from bench.soak.calls import Call, differences
from bench.soak.series import Sample, judge, picture

_OK = Call("1", "Chat", "OK", 3, 3, "OK")
_CANCELLED = Call("2", "Chat", "CANCELLED", 3, 1, "CANCELLED")


@pytest.mark.skipif(not usage.available(), reason="needs /proc, which only Linux has")
def test_a_few_seconds_of_it_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = soak.run(tmp_path, seconds=6, connections=6, rate=30)
    assert outcome.wrong == []
    assert len(outcome.made) > 10
    assert outcome.came > 0
    assert {call.method for call in outcome.made} == {
        "GetUser",
        "ListUsers",
        "ImportUsers",
        "Chat",
    }
    assert all(sample.files > 3 and sample.mib > 1 for sample in outcome.samples)
    soak.report(outcome, 2)
    shown = capsys.readouterr().out
    assert f"right    {len(outcome.made):,}, wrong 0" in shown


@pytest.mark.parametrize(
    ("made", "served"),
    [
        (_OK, [replace(_OK, meant="")]),
        (_CANCELLED, [replace(_CANCELLED, status="OK", answers=3, requests=3)]),
        # It never came so far, or the client was not told what the server still sent.
        (_CANCELLED, []),
        (_CANCELLED, [replace(_CANCELLED, answers=2)]),
        # The server cancelled it first, by the same deadline.
        (replace(_CANCELLED, meant="DEADLINE_EXCEEDED"), [replace(_CANCELLED, meant="")]),
        # It was done before it could be given up.
        (replace(_CANCELLED, status="OK"), [replace(_CANCELLED, status="OK")]),
    ],
)
def test_sides_that_agree_are_right(made: Call, served: list[Call]) -> None:
    assert differences([made], served) == []


@pytest.mark.parametrize(
    ("made", "served", "what"),
    [
        ([_OK], [], "does not know it"),
        ([_OK], [_OK, _OK], "has it 2 times"),
        ([_OK], [replace(_OK, answers=4)], "('OK', 3, 3) here, ('OK', 3, 4) there"),
        ([_OK], [replace(_OK, status="CANCELLED")], "('CANCELLED', 3, 3) there"),
        ([_OK], [replace(_OK, method="GetUser")], "has it as GetUser"),
        ([replace(_OK, status="UNAVAILABLE")], [_OK], "ended with UNAVAILABLE, meant for OK"),
        ([_CANCELLED], [replace(_CANCELLED, answers=0)], "received what nobody sent"),
        ([replace(_CANCELLED, status="DEADLINE_EXCEEDED")], [_CANCELLED], "meant for CANCELLED"),
        ([], [_OK], "a call that nobody made"),
    ],
)
def test_sides_that_differ_are_wrong(made: list[Call], served: list[Call], what: str) -> None:
    assert any(what in line for line in differences(made, served)), differences(made, served)


def _samples(mib: "list[float]", files: int = 2000) -> list[Sample]:
    return [Sample(5.0 * n, files, 3, each, n) for n, each in enumerate(mib)]


@pytest.mark.parametrize(
    ("mib", "flat"),
    [
        # Noise is none, nor is what was before it had settled.
        ([10, 90] + 30 * [150, 152, 149], True),
        ([100 + n for n in range(92)], False),
        (60 * [100.0] + [100, 200, 100] + 30 * [100.0], False),
        (40 * [60.0] + 60 * [63.5], True),
    ],
)
def test_what_grows_or_leaps_is_not_flat(mib: list[float], flat: bool) -> None:
    files, threads, memory = judge(_samples(mib), after=10)
    assert (files.flat, threads.flat, memory.flat) == (True, True, flat)


def test_the_picture_shows_each_value(tmp_path: Path) -> None:
    svg = ET.fromstring(picture(_samples([100.0, 120.0, 110.0]), 5))  # noqa: S314 (made here)
    lines = svg.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 3, 3]
