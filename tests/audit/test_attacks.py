"""Attacks in steps: each finds the client that it is about, and leaves its twin alone.

That no certificate by itself finds that client is held as well, where it is the point.
"""

from collections.abc import Callable, Iterator

import pytest

from mitm import audit
from mitm.audit.conclusion import conclude
from mitm.audit.finding import Outcome
from tests.audit import steps
from tests.audit.hand_made import Server
from tests.audit.steps import everything, nothing

PLAIN = [
    "attacker-ca",
    "self-signed",
    "wrong-host",
    "expired",
    "plaintext-http2",
    "plaintext-http1",
]
ATTACKS = [entry.name for entry in audit.catalogue() if isinstance(entry, audit.Attack)]

Flawed = Callable[[Server, steps.Verify], None]

# What must find each; others may as well.
FOUND_BY: dict[Flawed, set[str]] = {
    steps.checks_then_talks: {"second-connection", "at-position"},
    steps.third_of_three: {"at-position"},
    steps.fetches_checks_talks: {"first-connection"},
    steps.reconnects: {"reconnect"},
    steps.reconnects_twice: {"reconnect"},
    steps.retries(2): {"handshake-reset"},
    steps.retries(3): {"handshake-reset"},
    steps.retries(4): {"handshake-reset"},
    steps.in_plaintext_after_a_reset: {"handshake-reset"},
    steps.in_plaintext_if_told_so: {"no-tls-today"},
    steps.in_plaintext_on_the_same_connection: {"no-tls-today"},
    steps.takes_up_its_stream: {"late-forgery"},
    steps.VerifiesOnce(): {"same-process"},
}
# Who does without TLS is found by a plain answer as well.
FOUND_PLAIN = {steps.in_plaintext_if_told_so, steps.in_plaintext_on_the_same_connection}


def _name(client: object) -> str:
    return getattr(client, "__name__", type(client).__name__)


@pytest.fixture(scope="module")
def auditor() -> Iterator[audit.Auditor]:
    with audit.Auditor() as auditor:
        yield auditor


def with_its(client: Flawed, verify: steps.Verify) -> steps.Client:
    """The client, with or without its flaw."""
    return lambda server: client(server, verify)


def suite(*names: str) -> audit.Suite:
    return audit.forge_suite(audit.select(audit.catalogue(), names))


def outcomes(report: audit.Report) -> dict[str, Outcome]:
    assert report.conclusive, report.controls
    return {finding.case.name: finding.outcome for finding in report.findings}


@pytest.mark.parametrize("client", FOUND_BY, ids=_name)
def test_an_attack_finds_what_no_certificate_shows(auditor: audit.Auditor, client: Flawed) -> None:
    report = auditor.audit(suite(*ATTACKS), with_its(client, nothing))
    found = {name for name, outcome in outcomes(report).items() if outcome == "vulnerable"}
    assert found >= FOUND_BY[client], report.findings
    assert conclude(report).exit_code == 1
    plain = auditor.audit(suite(*PLAIN, "at-position"), with_its(client, nothing))
    found = {name for name, outcome in outcomes(plain).items() if outcome == "vulnerable"}
    assert bool(found - {"at-position"}) == (client in FOUND_PLAIN)


@pytest.mark.parametrize("client", FOUND_BY, ids=_name)
def test_the_same_client_without_its_flaw_is_left_alone(
    auditor: audit.Auditor, client: Flawed
) -> None:
    report = auditor.audit(suite(*ATTACKS, *PLAIN), with_its(client, everything))
    assert set(outcomes(report).values()) <= {"pass", "not-exercised"}, report.findings
    assert conclude(report).exit_code == 0
    for attack in FOUND_BY[client]:
        assert outcomes(report)[attack] == "pass"
