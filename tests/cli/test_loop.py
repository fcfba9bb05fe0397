"""Which event loop commands run in."""

import asyncio

import pytest

from mitm.cli import loop


async def the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@pytest.mark.parametrize(
    ("release", "module"), [("0.22.1", "asyncio"), ("0.23.0", "uvloop"), ("1.0.0", "uvloop")]
)
def test_uvloop_is_taken_where_it_tells_a_reset_from_an_end(
    release: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "version", lambda package: release)
    assert loop.in_loop(the_loop()) == module
