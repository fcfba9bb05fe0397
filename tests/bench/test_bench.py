"""The benchmark measures what it says, on all of the calls, and says what is missing."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import growth, peers, startup, texts, tools, ways
from bench.workloads import ANEW, BUSY, CROWD, LARGE, LONE, STREAM, Workload, of_go
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
@pytest.mark.parametrize("way", [ways.STRAIGHT, ways.SILENT], ids=lambda way: way.name)
def test_every_call_of_a_workload_is_made_and_read(
    workload: Workload, way: ways.Way, files: ways.Files
) -> None:
    measured = bench.one(workload, way, files)
    assert measured.rate > 0
    assert 0 < measured.p50_ms <= measured.p99_ms
    assert (measured.cpu_ms is None) == (measured.peak_mib is None) == (way is ways.STRAIGHT)


def _quiet(way: ways.Way) -> ways.Way:
    if not ways.has_option("--quiet"):
        pytest.skip("mitm-demo proxy has no --quiet")
    return way


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize(
    "workload", [FEW, replace(STREAM, connections=1, calls=2)], ids=lambda each: each.name
)
@pytest.mark.parametrize("way", [ways.FILE, ways.TERMINAL], ids=lambda way: way.name)
def test_the_proxy_is_measured_as_users_start_it(
    way: ways.Way, workload: Workload, files: ways.Files
) -> None:
    measured = bench.one(workload, way, files)
    assert measured.cpu_ms
    assert measured.cpu_ms > 0


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.parametrize(
    ("way", "written"),
    [
        (ways.QUIET, set()),
        (ways.LOGGING, {"events.jsonl"}),
        (ways.CAPTURING, {"calls.pcapng"}),
        (ways.REWRITING, set()),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_quiet_way_writes_what_it_is_named_for(
    way: ways.Way, written: set[str], files: ways.Files
) -> None:
    measured = bench.one(FEW, _quiet(way), files)
    assert measured.peak_mib
    there = {path.name for path in files.directory.iterdir()}
    assert there & {"events.jsonl", "calls.pcapng"} == written


@pytest.mark.usefixtures("nghttp2")
def test_lines_of_the_console_that_are_missing_are_an_error(files: ways.Files) -> None:
    unread = replace(FEW, calls=FEW.calls + 1)
    with (
        tools.server(FEW, *files.chain("server"), files.served) as server,
        pytest.raises(UserError, match=r"60 lines with .* where 61 are due"),
        ways.into_file(server, unread, files) as proxy,
    ):
        tools.load(proxy.port, FEW, files.directory)


@pytest.mark.usefixtures("nghttp2")
def test_nghttpx_is_measured_alike(files: ways.Files) -> None:
    assert bench.one(FEW, ways.NGHTTPX, files).cpu_ms


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.skipif(peers.haproxy() is None, reason="needs haproxy: apt install haproxy")
@pytest.mark.parametrize("workload", [FEW, replace(ANEW, calls=4)], ids=lambda each: each.name)
def test_haproxy_is_measured_alike(workload: Workload, files: ways.Files) -> None:
    assert bench.one(workload, ways.HAPROXY, files).cpu_ms


@pytest.mark.usefixtures("nghttp2")
@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go: apt install golang-go")
def test_a_server_in_go_answers_as_grpc_does(files: ways.Files) -> None:
    workload = replace(of_go(peers.echo()), calls=20)
    assert bench.one(workload, ways.SILENT, files).cpu_ms


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


@pytest.mark.usefixtures("nghttp2")
def test_memory_is_looked_at_around_many_connections(files: ways.Files) -> None:
    before, peak, after, through = growth.resident(files, 20)
    assert 0 < before <= peak
    assert after > 0
    assert through == 20


def test_a_start_costs_something_and_a_command_that_fails_is_an_error() -> None:
    assert 0 < startup.cpu_seconds("--version") < 60
    with pytest.raises(UserError, match="mitm-demo nonsense ended with 2"):
        startup.cpu_seconds("nonsense")


def test_texts_are_decoded_with_a_schema_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SIZE", 1024)
    for name, (without, with_one) in texts.ratios().items():
        assert without > 0, name
        assert with_one > 0, name
