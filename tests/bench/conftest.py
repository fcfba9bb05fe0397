"""What a measurement needs, and results that nobody measured."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import tools, usage, ways
from bench.growth import Resident
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


WAYS = (ways.STRAIGHT, ways.SILENT, ways.FILE, ways.LOGGING, ways.HAPROXY)


@pytest.fixture
def results() -> Results:
    """Three rounds, in which every goal is reached but the one of 1 x 1."""
    calls = {}
    for workload in WORKLOADS:
        calls[workload.name, ways.STRAIGHT.name] = [Measurement(8_000, 4, 8)] * 3
        calls[workload.name, ways.MITMDUMP] = [Measurement(300, 90, 200, 3_000, 80)] * 3
        calls[workload.name, ways.HAPROXY.name] = [Measurement(5_000, 7, 20, 50, 16)] * 3
        for way in (ways.SILENT, ways.FILE, ways.LOGGING):
            calls[workload.name, way.name] = [Measurement(5_500, 6, 20, 60, 55)] * 3
    calls[BUSY.name, ways.FILE.name] = [
        Measurement(rate, 6, 20, cpu, 55) for rate, cpu in ((4_000, 100), (2_000, 120), (6_000, 60))
    ]
    calls[LONE.name, ways.SILENT.name] = [Measurement(2_000, 10.5, 20, 250, 55)] * 3
    calls[LARGE.name, ways.SILENT.name] = [Measurement(6_000, 10, 20, 500, 55)] * 3
    here = [*(way.name for way in WAYS), ways.MITMDUMP]
    return Results(
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        load=(0.5, 3.0),
        rounds=3,
        workloads=WORKLOADS,
        ways={workload.name: here for workload in WORKLOADS},
        decodes={way.name: way.decodes for way in WAYS},
        absent={"grpc-dump": "which is not here"},
        calls=calls,
        memory={10_000: 55.0, 1_000_000: 57.5},
        resident={1_000: Resident(50.4, 140, 60.6, 998)},
        crowds={1: [200, 210, 190], 1_000: [220, 210, 228]},
        starts={"--version": [0.1, 0.2, 0.14]},
        texts={"prose": [(0.3, 0.2)] * 3, "zeros": [(0.1, 0.2), (0.4, 0.2), (0.5, 0.2)]},
        certificate_ms=[9, 11, 8],
        demo="skip-verify",
        demo_seconds=[1.0, 3.0, 2.25],
    )
