"""Test runs inside the test run, as a user of the plugin starts them."""

import shutil
from collections.abc import Callable

import pytest

# A run in the same process forgets what it was the first to import, and C extensions cannot be
# imported twice.
import mitm.pytest_plugin.one_certificate
import mitm.pytest_plugin.server_probe
import mitm.pytest_plugin.whole_audit  # noqa: F401
from tests.plugin import clients

Run = Callable[..., pytest.RunResult]

# Warnings are errors, so that nothing is left open; a screen wide enough for every line.
_OPTIONS = ("-W", "error", "-p", "no:cacheprovider")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file that may `import clients`, with options."""
    shutil.copy(str(clients.__file__), pytester.path / "clients.py")
    monkeypatch.setenv("COLUMNS", "200")
    # On a build server pytest's own summary repeats each failure whole, and not its first line.
    for server in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(server, raising=False)

    def start(tests: str, *options: str, afresh: bool = False) -> pytest.RunResult:
        """With `afresh` in a process in which nothing has been imported yet."""
        pytester.makepyfile(test_it=tests)
        runpytest = pytester.runpytest_subprocess if afresh else pytester.runpytest_inprocess
        return runpytest(*_OPTIONS, *options)

    return start
