"""What a process has used is counted with what its children have used."""

import os
import subprocess
import sys

import pytest

from bench import usage

pytestmark = pytest.mark.skipif(not usage.available(), reason="needs /proc, which only Linux has")

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
sys.stdin.read()
child.communicate()
"""
_CHILD = """
import sys, time
held = bytearray(64 * 1024 * 1024)
while time.process_time() < 0.2:
    pass
print(flush=True)
sys.stdin.read()
"""


def test_children_count() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        assert usage.cpu_seconds(parent.pid) >= 0.2
        assert usage.peak_mib(parent.pid) >= 64
        parent.stdin.close()


def test_a_process_is_counted_alone_if_it_has_no_children() -> None:
    assert 0 < usage.cpu_seconds(os.getpid()) < 3600


def test_a_process_that_has_ended_counts_for_nothing() -> None:
    """A child may end between the moment it is listed and the moment it is asked about."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert usage.cpu_seconds(ended.pid) == 0
    assert usage.peak_mib(ended.pid) == 0
