"""What a measurement needs, and results that nobody measured."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import tools, usage, ways
from bench.report import Measurement, Results
from bench.workloads import BUSY, LARGE, LONE, WORKLOADS
from mitm import pki
from mitm.errors import UserError


def _installed() -> bool:
    try:
        tools.find()
    except UserError:
        return False
    return usage.available()


@pytest.fixture(scope="session")
def nghttp2() -> None:
    if not _installed():
        pytest.skip("needs Linux, and: apt install nghttp2-client nghttp2-server nghttp2-proxy")


@pytest.fixture
def files(tmp_path: Path) -> ways.Files:
    pki.write_lab(tmp_path, pki.Authorities(["localhost", tools.LOOPBACK]), overwrite=True)
    return ways.Files(tmp_path)


@pytest.fixture
def results() -> Results:
    """Three rounds, in which every goal is reached but the one of 1 x 1."""
    calls = {}
    for workload in WORKLOADS:
        calls[workload.name, "straight to the server"] = [Measurement(8_000, 4, 8)] * 3
        calls[workload.name, "mitmproxy"] = [Measurement(300, 90, 200, 3_000, 80)] * 3
        calls[workload.name, "nghttpx, one worker"] = [Measurement(5_000, 7, 20, 20, 16)] * 3
        for way in (ways.SILENT, ways.LOGGING):
            calls[workload.name, way.name] = [Measurement(5_500, 6, 20, 100, 55)] * 3
    calls[BUSY.name, ways.LOGGING.name] = [
        Measurement(rate, 6, 20, cpu, 55) for rate, cpu in ((4_000, 100), (2_000, 120), (6_000, 60))
    ]
    calls[LONE.name, ways.SILENT.name] = [Measurement(2_000, 10.5, 20, 250, 55)] * 3
    calls[LARGE.name, ways.SILENT.name] = [Measurement(6_000, 10, 20, 500, 55)] * 3
    return Results(
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        load=(0.5, 3.0),
        rounds=3,
        workloads=WORKLOADS,
        ways=[
            "straight to the server",
            ways.SILENT.name,
            ways.LOGGING.name,
            "nghttpx, one worker",
            "mitmproxy",
        ],
        absent={"grpc-dump": "which is not here"},
        calls=calls,
        memory={10_000: 55.0, 1_000_000: 57.5},
        crowds={1: [200, 210, 190], 1_000: [220, 210, 228]},
        demo="skip-verify",
        demo_seconds=[1.0, 3.0, 2.25],
    )
