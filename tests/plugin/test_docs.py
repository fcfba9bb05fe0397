"""Every Python example of docs/pytest.md does what the page says."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.plugin.conftest import Run
from tests.probe.lab import made
from tests.probe.servers import Rules, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pytest.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TESTS = [block for block in BLOCKS if "def test_" in block and "careless" not in block]
PROGRAMS = [block for block in BLOCKS if "def test_" not in block]
(CARELESS,) = (block for block in BLOCKS if "careless" in block)
(FAILURE,) = re.findall(r"^```text\n(_+ test_careless_client _+\n.*?)^```$", PAGE, re.M | re.S)

# The client that the page speaks of.
MY_CLIENT = """
from types import SimpleNamespace

import clients

def get_user(target, *, ca_file):
    return clients.calls(SimpleNamespace(target=target, ca_pem=ca_file.read_bytes()))

async def get_user_async(target, *, ca_file):
    return await clients.calls_async(SimpleNamespace(target=target, ca_pem=ca_file.read_bytes()))
"""
MY_PROGRAM = """
import sys
from pathlib import Path

from my_client import get_user

get_user(sys.argv[1], ca_file=Path(sys.argv[2]))
"""

# Some for each choice on the page; all of them are the business of other tests.
SOME = "--mitm-certs=expired,not-yet-valid,self-signed,wrong-host"


@pytest.fixture(autouse=True)
def _users_files(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(my_client=MY_CLIENT, my_program=MY_PROGRAM)


@contextmanager
def users_server(folder: Path) -> Iterator[str]:
    """The server that the page speaks of, which checks its clients; its files in a folder."""
    lab = made(folder, server="localhost")
    for ours, theirs in {
        "clients.pem": "ca.pem",
        "client.pem": "me.pem",
        "client.key": "me.key",
    }.items():
        shutil.copy(folder / ours, folder / theirs)
    with serving(lab, Rules(authority="")) as port:
        yield f"localhost:{port}"


@pytest.mark.parametrize("block", TESTS, ids=lambda block: re.findall(r"def (test_\w+)", block)[0])
def test_tests_pass_with_a_correct_client(run: Run, block: str, pytester: pytest.Pytester) -> None:
    some = "--mitm-certs=malformed-san" if "malformed-san" in block else SOME
    with users_server(pytester.path) as address:
        block = block.replace("localhost:50051", address) if "mitm_probe" in block else block
        result = run(block, some, "--strict-markers")
    assert result.ret == 0
    assert result.parseoutcomes().keys() == {"passed"}


def test_the_client_of_the_first_tests_would_fail_if_it_were_careless(
    run: Run, pytester: pytest.Pytester
) -> None:
    careless = MY_CLIENT.replace("clients.calls(", "clients.calls_whom_it_meets(").replace(
        "target=target,", "target=target, host=target.split(':')[0], port=target.split(':')[1],"
    )
    pytester.makepyfile(my_client=careless)
    for block in TESTS[:2]:
        assert run(block, SOME).parseoutcomes()["failed"] == 1


def test_a_failure_looks_as_it_is_shown(run: Run) -> None:
    result = run(CARELESS)
    result.assert_outcomes(failed=1)
    # The heading is as wide as the screen.
    _, *lines = FAILURE.splitlines()
    first = result.outlines.index(lines[0])
    assert result.outlines[first : first + len(lines)] == lines


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("block", PROGRAMS, ids=["audit.run", "Interceptor"])
def test_programs_run(pytester: pytest.Pytester, block: str) -> None:
    path = pytester.makepyfile(program=block)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ("control passed: True" in done.stdout) or ("CertificatePresented" in done.stdout)
