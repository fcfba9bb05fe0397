"""The page says what was measured, and what of it was reached; the picture shows it."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from bench import plot, report
from bench.report import Results
from bench.workloads import BUSY

_SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_gives_medians_spread_and_ratios_of_the_same_round(results: Results) -> None:
    page = report.page(results, [("CPU", "a CPU")], ["## Auditing a client"])
    assert (
        "| interceptor, JSON lines | 100 (60.0 to 120) | 4,000 (2,000 to 6,000) "
        "| 0.50 (0.25 to 0.75) | 6.00 (6.00 to 6.00) | 20.0 (20.0 to 20.0) | 55 |"
    ) in page
    assert "| straight to the server |  | 8,000 (8,000 to 8,000) |  |" in page
    assert "| 1,000,000 | 57.5 |" in page
    assert "| 1,000 | 220 (210 to 228) |" in page
    assert "| CPU | a CPU |" in page
    assert "| Load average | before 0.50, after 3.00 |" in page
    assert "Left out: grpc-dump, which is not here." in page
    assert "\n## Auditing a client\n" in page


def test_a_goal_is_reached_by_its_median(results: Results) -> None:
    rows = {goal.row[0]: goal.row[3:] for goal in report.goals(results)}
    # 100, 120 and 60 ms of 3,000.
    assert rows["CPU a call, 4 x 32, JSON lines"] == ("1/30.0 (1/50.0 to 1/25.0)", "reached")
    assert rows["calls/s, 4 x 32, no output"] == ("1.10 x (1.10 x to 1.10 x)", "reached")
    assert rows["calls/s, 4 x 32, JSON lines"] == ("0.80 x (0.40 x to 1.20 x)", "reached")
    # 6.5 ms where nghttpx adds 3.
    assert rows["p50 added, 1 x 1, no output"] == ("2.17 x", "not reached")
    assert rows["bytes/s, 64 KiB, no output"] == ("0.75 x (0.75 x to 0.75 x)", "reached")
    assert rows["memory at 1,000,000 calls, no output"] == ("+2.5 MiB", "reached")
    assert rows["CPU a call, 1,000 connections"] == ("1.10 x (1.00 x to 1.20 x)", "reached")
    assert rows["CPU for 1,000 calls, 1 x 1, no output"][1] == "not reached"
    assert rows["`mitm-demo run skip-verify`, wall time"][1] == "reached"


def test_a_goal_is_missed_by_its_median(results: Results) -> None:
    slow = replace(results, memory={1: 55.0, 2: 65.0}, crowds={1: [100.0], 9: [131.0]})
    rows = {goal.row[0]: goal.row[-1] for goal in report.goals(slow)}
    assert rows["memory at 2 calls, no output"] == "not reached"
    assert rows["CPU a call, 9 connections"] == "not reached"


def test_what_was_not_there_is_not_compared_with(results: Results) -> None:
    here = {key: value for key, value in results.calls.items() if key[1] != "mitmproxy"}
    alone = replace(results, calls=here, ways=[way for way in results.ways if way != "mitmproxy"])
    assert report.goals(alone)[0].row[3:] == ("", "not measured")
    assert "| mitmproxy |" not in report.page(alone, []).partition("## Each way")[2]


def test_the_picture_has_a_dot_for_each_median(results: Results) -> None:
    picture = ET.fromstring(plot.picture(results))  # noqa: S314 (made here)
    dots = picture.findall(f"{_SVG}circle")
    # CPU of four ways, calls per second of five.
    assert len(dots) == len(results.workloads) * 9
    texts = [text.text for text in picture.findall(f"{_SVG}text")]
    assert texts.count("interceptor, JSON lines") == len(results.workloads)
    assert BUSY.name in texts


def test_the_picture_keeps_to_its_width(results: Results) -> None:
    picture = ET.fromstring(plot.picture(results))  # noqa: S314 (made here)
    width = float(picture.attrib["width"])
    for dot in picture.findall(f"{_SVG}circle"):
        assert 200 < float(dot.attrib["cx"]) < width - 40
