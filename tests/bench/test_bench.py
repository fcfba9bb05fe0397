"""The benchmark measures what it says, on all of the calls, and says what is missing."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import report, tools
from bench.report import Measurement, Results
from bench.tools import Workload
from mitm import pki
from mitm.errors import UserError

ROOT = Path(__file__).parents[2]
FEW = Workload(connections=2, streams=3, calls=60)


def tools_installed() -> bool:
    try:
        tools.find()
    except UserError:
        return False
    return Path("/proc/self/stat").exists()


needs_nghttp2 = pytest.mark.skipif(
    not tools_installed(),
    reason="needs Linux, and h2load and nghttpd: apt install nghttp2-client nghttp2-server",
)


@pytest.fixture
def files(tmp_path: Path) -> bench.Files:
    pki.write_lab(tmp_path, pki.Authorities(["localhost", tools.LOOPBACK]), overwrite=True)
    (tmp_path / "body").write_bytes(tools.BODY)
    return bench.Files(tmp_path)


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


@needs_nghttp2
@pytest.mark.parametrize("way", bench.WAYS)
def test_every_call_is_made_and_read_each_way(way: str, files: bench.Files) -> None:
    measured = bench.one(FEW, way, files)
    assert measured.rate > 0
    assert (measured.cpu_ms is None) == (way == bench.STRAIGHT)
    assert (files.directory / "events.jsonl").exists() == (way == bench.LOGGING)


@needs_nghttp2
def test_a_call_that_was_not_read_is_an_error(files: bench.Files) -> None:
    unread = FEW._replace(calls=FEW.calls + 1)
    with (
        tools.echo_server(*files.chain("server")) as server,
        pytest.raises(UserError, match="should have seen"),
        bench.interceptor(server, unread, files, None) as (_, port),
    ):
        tools.load(port, FEW, files.body)


@needs_nghttp2
def test_a_call_that_failed_is_an_error(files: bench.Files) -> None:
    with tools.echo_server(*files.chain("server")) as port:
        tools.load(port, FEW, files.body)
    with pytest.raises(UserError, match="h2load did not report"):
        tools.load(port, FEW, files.body)


def test_the_page_gives_medians_spread_and_ratios_of_the_same_round() -> None:
    calls = {
        (FEW, "straight"): [Measurement(1000), Measurement(2000), Measurement(4000)],
        (FEW, "through"): [
            Measurement(900, 0.1),
            Measurement(1000, 0.3),
            Measurement(1000, 0.15),
        ],
    }
    results = Results(
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        load=(0.5, 3.0),
        rounds=3,
        workloads=[FEW],
        straight="straight",
        intercepted=["through"],
        calls=calls,
        demo="skip-verify",
        demo_seconds=[1.0, 3.0, 2.75],
    )
    page = report.page(results, [("CPU", "a CPU")])
    assert "| 2 x 3 | straight |  | 2,000 (1,000 to 4,000) |  |" in page
    assert (
        "| 2 x 3 | through | 0.150 (0.100 to 0.300) | 1,000 (900 to 1,000) | 0.50 (0.25 to 0.90) |"
    ) in page
    assert "- 2 x 3: reached, median 0.150 ms" in page
    assert "2.75 (1.00 to 3.00) s" in page
    assert "2 cores: not reached" in page
    assert "| CPU | a CPU |" in page
    assert "| Load average | before 0.50, after 3.00 |" in page
