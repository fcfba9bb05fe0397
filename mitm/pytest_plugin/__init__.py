"""The pytest plugin: fixtures that prove that a client checks who it talks to.

It is loaded in every test run of an environment that it is installed in: whatever takes time to
import is imported when a test uses a fixture. No module in here may go by the name of a fixture,
whose place it would take in this namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mitm.pytest_plugin.settings import REMARK, add_options, register_marker, settings_of

if TYPE_CHECKING:
    from mitm.audit.in_process import Auditor
    from mitm.pytest_plugin.one_certificate import ForgedServer as ForgedServer
    from mitm.pytest_plugin.server_probe import MitmProbe as MitmProbe
    from mitm.pytest_plugin.whole_audit import MitmAudit as MitmAudit


_OF_AN_AUDIT = (
    "none of these is a certificate that a server could present: attacks in several steps are "
    "played by mitm_audit"
)


def __getattr__(name: str) -> Any:
    """The types of the fixtures, for annotations in tests."""
    if name == "ForgedServer":
        from mitm.pytest_plugin.one_certificate import ForgedServer

        return ForgedServer
    if name == "MitmAudit":
        from mitm.pytest_plugin.whole_audit import MitmAudit

        return MitmAudit
    if name == "MitmProbe":
        from mitm.pytest_plugin.server_probe import MitmProbe

        return MitmProbe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    register_marker(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each certificate, the control first."""
    if "forged_server" in metafunc.fixturenames:
        from mitm.audit import CONTROL
        from mitm.pki import Recipe, load_recipe

        # Attacks in steps, and what a client offers, are a whole audit's business.
        entries = settings_of(metafunc.definition).recipes()
        chosen = [entry for entry in entries if isinstance(entry, Recipe)]
        recipes = [load_recipe(CONTROL), *(each for each in chosen if each.name != CONTROL)]
        names = [recipe.name for recipe in recipes]
        marks = [pytest.mark.skip(reason=_OF_AN_AUDIT)] if entries and not chosen else []
        params = [pytest.param(recipe, marks=marks) for recipe in recipes]
        metafunc.parametrize("forged_server", params, ids=names, indirect=True)


@pytest.fixture(scope="session")
def _mitm_auditor() -> Iterator[Auditor]:
    from mitm.audit.in_process import Auditor

    with Auditor() as auditor:
        yield auditor


@pytest.fixture
def mitm_audit(request: pytest.FixtureRequest, _mitm_auditor: Auditor) -> MitmAudit:
    """Audit a client: `mitm_audit(lambda server: get_user(server.target, server.ca_file))`.

    The client is run with the genuine certificate, with every forged one, and with the genuine one
    again. The test fails for each that it accepts and must not, and if a genuine one is rejected.
    """
    from mitm.pytest_plugin.whole_audit import MitmAudit

    return MitmAudit(_mitm_auditor, request.node)


@pytest.fixture
def mitm_probe(request: pytest.FixtureRequest) -> MitmProbe:
    """Probe a server: `mitm_probe("localhost:50051", client_cert=…, client_key=…, ca=…)`.

    The good client calls it, then all those that should not get in, and the good one again. The
    test fails for each that gets in and must not, and if the good one does not.
    """
    from mitm.pytest_plugin.server_probe import MitmProbe

    return MitmProbe(request.node)


@pytest.fixture
def forged_server(request: pytest.FixtureRequest, _mitm_auditor: Auditor) -> Iterator[ForgedServer]:
    """A server that presents a certificate: one test item for each of the catalogue.

    The client's call goes into `with forged_server.must_abort():`.
    """
    from mitm.pytest_plugin.one_certificate import present

    with present(_mitm_auditor, request.param, request.node) as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests that passed should be known for."""
    lines = [
        f"{report.nodeid}: {remark}"
        for report in terminalreporter.getreports("passed")
        for name, remark in report.user_properties
        if name == REMARK
    ]
    if lines:
        terminalreporter.section("mitm-demo: no failures, but worth knowing")
        for line in lines:
            terminalreporter.line(line)
