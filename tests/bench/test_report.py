"""The page says what was measured, and what of it was reached; the picture shows it."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from bench import plot, report, ways
from bench.report import Measurement, Results
from bench.workloads import BUSY

_SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_gives_medians_spread_and_ratios_of_the_same_round(results: Results) -> None:
    page = report.page(results, [("CPU", "a CPU")], ["## Auditing a client"])
    assert (
        "| proxy, into a file | 100 (60.0 to 120) | 4,000 (2,000 to 6,000) "
        "| 0.50 (0.25 to 0.75) | 6.00 (6.00 to 6.00) | 20.0 (20.0 to 20.0) | 55 | all |"
    ) in page
    assert "| straight to the server |  | 8,000 (8,000 to 8,000) |  |" in page
    assert "| 1,000,000 | 57.5 |" in page
    assert "| 1,000 | 220 (210 to 228) |" in page
    assert "| 1,000 | 50 MiB | 140 MiB | 61 MiB | 998 |" in page
    assert "| prose | 0.30 (0.30 to 0.30) | 0.20 (0.20 to 0.20) | 1.50 x" in page
    assert "| CPU | a CPU |" in page
    assert "| Load average | before 0.50, after 3.00 |" in page
    assert "Left out: grpc-dump, which is not here." in page
    assert "\n## Auditing a client\n" in page


def test_a_goal_is_reached_by_its_median(results: Results) -> None:
    rows = {goal.row[0]: goal.row[3:] for goal in report.goals(results)}
    # 100, 120 and 60 ms of 3,000, and of 60.
    file = "CPU a call, 4 x 32, `proxy` into a file, every line written"
    assert rows[file] == ("1/30.0 (1/50.0 to 1/25.0)", "reached")
    assert rows["the same"] == ("1.67 x (1.00 x to 2.00 x)", "reached")
    silent = "everything made, no output"
    assert rows[f"calls/s, 4 x 32, {silent}"] == ("1.10 x (1.10 x to 1.10 x)", "reached")
    assert rows[f"CPU a call, 4 x 32, {silent}"] == ("1.20 x (1.20 x to 1.20 x)", "reached")
    assert rows[f"CPU a call, 1 x 1, {silent}"] == ("5.00 x (5.00 x to 5.00 x)", "not reached")
    assert rows["CPU a call, 4 x 32, `proxy --quiet`"] == ("", "not measured")
    # The worst of them.
    zeros = "CPU, 64 KiB of text without a schema: zeros"
    assert rows[zeros] == ("2.00 x (0.50 x to 2.50 x)", "not reached")
    assert rows["start-up, `mitm-demo --version`"] == ("0.140 s (0.100 s to 0.200 s)", "reached")
    assert rows["audit, CPU a certificate over the client's own"][1] == "reached"
    # 6.5 ms where haproxy adds 3.
    assert rows[f"p50 added, 1 x 1, {silent}"] == ("2.17 x", "not reached")
    assert rows[f"bytes/s, 64 KiB, {silent}"] == ("0.75 x (0.75 x to 0.75 x)", "reached")
    assert rows["memory at 1,000,000 calls, no output"] == ("+2.5 MiB", "reached")
    assert rows["CPU a call, 1,000 connections"] == ("1.10 x (1.00 x to 1.20 x)", "reached")
    assert rows["`mitm-demo run skip-verify`, wall time"][1] == "reached"


def test_a_goal_is_missed_by_its_median(results: Results) -> None:
    slow = replace(results, memory={1: 55.0, 2: 65.0}, crowds={1: [100.0], 9: [131.0]})
    rows = {goal.row[0]: goal.row[-1] for goal in report.goals(slow)}
    assert rows["memory at 2 calls, no output"] == "not reached"
    assert rows["CPU a call, 9 connections"] == "not reached"


def test_what_was_not_there_is_not_compared_with(results: Results) -> None:
    calls = {key: value for key, value in results.calls.items() if key[1] != ways.MITMDUMP}
    here = {
        name: [way for way in all_ if way != ways.MITMDUMP] for name, all_ in results.ways.items()
    }
    alone = replace(results, calls=calls, ways=here)
    assert report.goals(alone)[0].row[3:] == ("", "not measured")
    assert "| mitmdump" not in report.page(alone, []).partition("## Each way")[2]


def test_calls_that_waited_for_an_ack_are_marked_as_such(results: Results) -> None:
    stalled = Measurement(3_000, 36, 41.5, 20, 16, delayed_acks=0.05)
    busy = stalled._replace(delayed_acks=0.0)
    here = (BUSY.name, ways.HAPROXY.name)
    for measured, marked in ((stalled, True), (busy, False)):
        calls = {**results.calls, here: [measured, measured, busy]}
        page = report.page(replace(results, calls=calls), [])
        assert ("41.5 (41.5 to 41.5) †" in page) == marked
        assert ("have waited for an ACK" in page) == marked


def test_the_picture_has_a_dot_for_each_median(results: Results) -> None:
    picture = ET.fromstring(plot.picture(results))  # noqa: S314 (made here)
    dots = picture.findall(f"{_SVG}circle")
    # CPU of five ways, calls per second of six.
    assert len(dots) == len(results.workloads) * 11
    texts = [text.text for text in picture.findall(f"{_SVG}text")]
    assert texts.count("proxy, into a file") == len(results.workloads)
    assert BUSY.name in texts


def test_the_picture_keeps_to_its_width(results: Results) -> None:
    picture = ET.fromstring(plot.picture(results))  # noqa: S314 (made here)
    width = float(picture.attrib["width"])
    for dot in picture.findall(f"{_SVG}circle"):
        assert 200 < float(dot.attrib["cx"]) < width - 40
