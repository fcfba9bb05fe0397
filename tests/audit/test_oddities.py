"""However oddly a client behaves, the audit judges it by what it has told, and by nothing else.

What each client comes to is known by its construction, see `oddities`. Each is played over TLS 1.2
and over TLS 1.3, and as often as MITM_REPEATS says, for its verdict must be the same every time:

    MITM_REPEATS=50 pytest -n 2 tests/audit/test_oddities.py
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from mitm import audit
from mitm.pki import Chain
from mitm.pki.recipe import Tls
from tests.audit import hand_made, odd_programs, oddities

REPEATS = int(os.environ.get("MITM_REPEATS", "1"))

FORGED = (oddities.ATTACKER_CA, oddities.WRONG_HOST)

# For clients that end by themselves: generous, because the machine may be busy.
SECONDS = 2 * hand_made.SECONDS

# For those that do not: what they do meanwhile takes them a tenth of it.
ENDLESS_SECONDS = 2.5

repeated = pytest.mark.parametrize("repeat", range(REPEATS))
over_each_version = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


@cache
def suite(version: str, *names: str) -> audit.Suite:
    """Forged certificates and their control, served with one version of TLS.

    The version is the server's choice, so that clients of every library speak it.
    """

    def pinned(case: audit.Case) -> audit.Case:
        return msgspec.structs.replace(
            case,
            chain=case.chain and with_version(case.chain),
            chains={name: with_version(chain) for name, chain in case.chains.items()},
        )

    def with_version(chain: Chain) -> Chain:
        tls = msgspec.convert({"minimum": version, "maximum": version}, Tls)
        return msgspec.structs.replace(chain, tls=tls)

    forged = audit.forge_suite(map(audit.load_entry, names))
    return audit.Suite(pinned(forged.control), tuple(map(pinned, forged.cases)))


@pytest.fixture(scope="module")
def auditor() -> Iterator[audit.Auditor]:
    with audit.Auditor() as auditor:
        yield auditor


@pytest.fixture(autouse=True)
def close_what_was_left_open() -> Iterator[None]:
    yield
    while oddities.left_open:
        with contextlib.suppress(OSError):
            oddities.left_open.pop().close()


def audited(auditor: audit.Auditor, version: str, client: oddities.Client) -> audit.Report:
    if client in oddities.NEED_OPENSSL and not oddities.OPENSSL:
        pytest.skip("there is no openssl here")
    # What has no end costs time with each certificate, and is the same with every one.
    endless = client in oddities.ENDLESS
    names = FORGED[:1] if endless or client in oddities.LEAVE_OPEN else FORGED
    if client in oddities.ALIKE:
        # Of connections that cannot be told apart, each has to be attacked by itself.
        names = (*FORGED[:1], "at-position")
    seconds = ENDLESS_SECONDS if endless else SECONDS
    return auditor.audit(suite(version, *names), client, timeout=seconds)


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


def clients(tagged: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", tagged, ids=_name)  # type: ignore[arg-type]


@repeated
@over_each_version
@clients(oddities.VULNERABLE)
def test_whoever_tells_something_is_vulnerable(
    auditor: audit.Auditor, client: oddities.Client, version: str, repeat: int
) -> None:
    report = audited(auditor, version, client)
    assert report.conclusive, report.controls
    told_over = oddities.VULNERABLE[client]
    for finding in report.findings:
        expected = "vulnerable" if finding.case.name in told_over else "pass"
        assert finding.outcome == expected, finding


@repeated
@over_each_version
@clients(oddities.CLEAN)
def test_whoever_tells_nothing_passes(
    auditor: audit.Auditor, client: oddities.Client, version: str, repeat: int
) -> None:
    report = audited(auditor, version, client)
    assert report.conclusive, report.controls
    for finding in report.findings:
        assert finding.outcome == "pass", finding
        assert ("still trying" in finding.reason) == (client in oddities.ENDLESS)


@repeated
@over_each_version
@clients(oddities.NOT_PROVED)
def test_of_whoever_might_have_gone_on_nothing_is_proved(
    auditor: audit.Auditor, client: oddities.Client, version: str, repeat: int
) -> None:
    report = audited(auditor, version, client)
    assert report.conclusive, report.controls
    for finding in report.findings:
        assert finding.outcome == "inconclusive", finding


@repeated
@over_each_version
@clients(oddities.NO_CONTROL)
def test_a_control_without_a_call_is_none(
    auditor: audit.Auditor, client: oddities.Client, version: str, repeat: int
) -> None:
    report = audited(auditor, version, client)
    assert not report.conclusive, report.controls
    assert not report.failing()


# Programs


class Program(NamedTuple):
    """What a program comes to, and what somebody should be told of it."""

    outcomes: set[str]
    told: str = ""
    endless: bool = False


PROGRAMS: dict[Callable[[odd_programs.Server], None], Program] = {
    odd_programs.refuses_with_exit_code_0: Program({"pass"}),
    odd_programs.opens_with_exit_code_0: Program({"pass"}),
    odd_programs.aborts_after_handshake: Program({"pass"}, "SIGABRT"),
    odd_programs.crashes_after_handshake: Program({"pass"}, "SIGSEGV"),
    odd_programs.aborts_after_opening: Program({"pass"}, "SIGABRT"),
    odd_programs.aborts_after_call: Program({"vulnerable"}, "SIGABRT"),
    odd_programs.leaves_a_child: Program({"inconclusive"}, "still running"),
    odd_programs.leaves_no_child: Program({"pass"}),
    # Whether it is still waited for is not laid down; that it does not pass is.
    odd_programs.leaves_a_child_that_calls: Program({"inconclusive", "vulnerable"}),
    odd_programs.stays_with_http2_open: Program({"inconclusive"}, endless=True),
    odd_programs.refuses_for_ever: Program({"pass"}, "still trying", endless=True),
    odd_programs.two_kinds_and_stops_at_the_first: Program({"inconclusive"}),
    odd_programs.two_kinds_both_refused: Program({"pass"}),
}


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where children say who they are; they are ended with the test."""
    path = tmp_path / "pids"
    monkeypatch.setenv(odd_programs.PID_FILE, str(path))
    yield path
    for pid in path.read_text().split() if path.exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


@repeated
@over_each_version
@pytest.mark.parametrize("program", PROGRAMS, ids=_name)
def test_how_a_program_ends_makes_it_no_better_and_no_worse(
    auditor: audit.Auditor,
    program: Callable[[odd_programs.Server], None],
    version: str,
    repeat: int,
    pid_file: Path,
) -> None:
    expected = PROGRAMS[program]
    words = [sys.executable, "-c", odd_programs.BOOT, program.__name__]
    words += ["{host}", "{port}", "{name}", "{ca}", "{pin}"]
    seconds = ENDLESS_SECONDS if expected.endless else SECONDS
    report = auditor.audit(suite(version, FORGED[0]), words, timeout=seconds)
    assert report.conclusive, report.controls
    finding, *crashes = report.findings
    assert len(crashes) == expected.told.startswith("SIG")
    assert finding.outcome in expected.outcomes, finding
    assert expected.told in f"{finding.reason}; {finding.said}"
