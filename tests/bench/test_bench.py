"""The benchmark measures what it says, on all of the calls, and says what is missing."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import growth, tools, ways
from bench.workloads import ANEW, BUSY, CROWD, LARGE, LONE, STREAM, Workload
from mitm.errors import UserError

ROOT = Path(__file__).parents[2]
FEW = replace(BUSY, connections=2, streams=3, calls=60)
OF_EACH_KIND = [
    FEW,
    replace(LONE, calls=20),
    replace(LARGE, connections=1, calls=8),
    replace(STREAM, connections=1, calls=2),
    replace(ANEW, calls=8),
    replace(CROWD, connections=20, calls=40),
]


def test_a_missing_tool_is_named_with_its_package_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bench: ")
    assert done.stderr.count("\n") == 1
    assert "h2load" in done.stderr
    assert "apt install nghttp2-client" in done.stderr
    assert shutil.which("h2load", path=str(tmp_path)) is None


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize("workload", OF_EACH_KIND, ids=lambda workload: workload.name)
@pytest.mark.parametrize(
    "way", [ways.STRAIGHT, ways.SILENT, ways.REWRITING], ids=lambda way: way.name
)
def test_every_call_of_a_workload_is_made_and_read(
    workload: Workload, way: ways.Way, files: ways.Files
) -> None:
    measured = bench.one(workload, way, files)
    assert measured.rate > 0
    assert 0 < measured.p50_ms <= measured.p99_ms
    assert (measured.cpu_ms is None) == (measured.peak_mib is None) == (way is ways.STRAIGHT)


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize(
    ("way", "written"),
    [
        (ways.LOGGING, "events.jsonl"),
        (ways.CAPTURING, "calls.pcapng"),
        (ways.NGHTTPX, None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_way_writes_what_it_is_named_for(
    way: ways.Way, written: str | None, files: ways.Files
) -> None:
    measured = bench.one(FEW, way, files)
    assert measured.peak_mib
    there = {path.name for path in files.directory.iterdir()}
    assert there & {"events.jsonl", "calls.pcapng"} == ({written} if written else set())


@pytest.mark.usefixtures("nghttp2")
def test_a_call_that_was_not_read_is_an_error(files: ways.Files) -> None:
    unread = replace(FEW, calls=FEW.calls + 1)
    with (
        tools.server(FEW, *files.chain("server"), files.served) as server,
        pytest.raises(UserError, match="should have seen"),
        ways.interceptor(server, unread, files) as proxy,
    ):
        tools.load(proxy.port, FEW, files.directory)


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize("workload", [FEW, replace(ANEW, calls=4)], ids=lambda each: each.name)
def test_a_call_that_failed_is_an_error(workload: Workload, files: ways.Files) -> None:
    with tools.server(workload, *files.chain("server"), files.served) as port:
        tools.load(port, workload, files.directory)
    with pytest.raises(UserError, match=r"h2load did not report|a call over a connection"):
        tools.load(port, workload, files.directory)


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize("workload", [FEW, replace(ANEW, calls=4)], ids=lambda each: each.name)
def test_another_answer_than_the_servers_is_an_error(workload: Workload, files: ways.Files) -> None:
    with (
        tools.server(workload, *files.chain("server"), files.served) as port,
        pytest.raises(UserError, match=r"h2load did not report|bytes of an answer"),
    ):
        tools.load(port, replace(workload, answers=2), files.directory)


@pytest.mark.usefixtures("nghttp2")
def test_memory_is_asked_for_after_so_many_calls_of_one_interceptor(files: ways.Files) -> None:
    first, second = growth.memory(files, [200, 400])
    assert 0 < first <= second


@pytest.mark.usefixtures("nghttp2")
def test_a_crowd_costs_something(files: ways.Files) -> None:
    assert growth.cpu_ms(files, connections=5, calls=600) > 0
