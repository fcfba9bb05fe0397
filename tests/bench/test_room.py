"""The robots of the room come, play, reset and go."""

import sys

import pytest

from bench import usage
from tests.programs import run

pytest.importorskip("starlette", reason="no starlette here: pip install '.[room]'")


@pytest.mark.skipif(not usage.available(), reason="only Linux tells what processes have used")
def test_a_room_is_measured() -> None:
    result = run(sys.executable, "-m", "bench.room", "--seats", "2")
    assert result.code == 0, result.err
    for told in (
        "2 pages are loaded after",
        "one plays: its first leg begins after",
        "an event is there after",
        "the stage is empty after",
        "MiB a seat",
        "Ctrl-C to the end",
    ):
        assert told in result.out
