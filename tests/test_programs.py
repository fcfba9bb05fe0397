"""Programs that the lab starts end with it, whatever they do."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.programs import OUTPUT_LIMIT, started
from tests.programs import alive, gone

# Says who it is and who its child is; both then wait for ever, deaf to SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys
deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True);"
child = subprocess.Popen(
    [sys.executable, "-c", deaf + "signal.pause()"], stdout=subprocess.PIPE
)
child.stdout.readline()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), child.pid, flush=True)
signal.pause()
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_program_deaf_to_sigterm_is_ended_with_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mitm.programs.GRACE_SECONDS", 0.1)

    async def play() -> list[int]:
        async with started(python(STUBBORN), os.environ) as program:
            pids = [int(pid) for pid in (await program.stdout.first_line()).split()]
            assert all(map(alive, pids))
        return pids

    assert gone(*asyncio.run(play()))


def test_a_child_that_outlives_its_program_is_ended() -> None:
    leaves_one_behind = (
        "import subprocess, sys\n"
        "wait = [sys.executable, '-c', 'import signal; signal.pause()']\n"
        "print(subprocess.Popen(wait, stdout=subprocess.DEVNULL).pid)\n"
    )

    async def play() -> int:
        async with started(python(leaves_one_behind), os.environ) as program:
            assert await program.wait() == 0
            child = int(program.stdout.take())
            assert alive(child)
        return child

    assert gone(asyncio.run(play()))


def test_it_is_ended_also_when_the_block_fails() -> None:
    pids = []

    async def play() -> None:
        async with started(python("import signal; signal.pause()"), os.environ) as program:
            pids.append(program.pid)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        asyncio.run(play())
    assert gone(*pids)


def test_endless_output_is_read_and_not_kept() -> None:
    much = f"print('x' * {3 * OUTPUT_LIMIT})"

    async def play() -> bytes:
        async with started(python(much), os.environ) as program:
            assert await program.wait() == 0
            return program.stdout.take()

    assert asyncio.run(play()) == b"x" * OUTPUT_LIMIT


def test_a_daemon_that_holds_on_to_the_output_keeps_nobody_waiting() -> None:
    """In a session of its own it cannot be ended with its program, but nor is it waited for."""
    daemon = (
        "import subprocess, sys\n"
        "wait = [sys.executable, '-c', 'import signal; signal.pause()']\n"
        "print(subprocess.Popen(wait, start_new_session=True).pid)\n"
    )

    async def play() -> int:
        async with started(python(daemon), os.environ) as program:
            assert await program.wait() == 0
            return int(program.stdout.take())

    os.kill(asyncio.run(play()), signal.SIGKILL)


def test_a_first_line_is_waited_for_and_the_rest_is_kept() -> None:
    lines = "print('one', flush=True); print('two')"

    async def play() -> tuple[bytes, bytes]:
        async with started(python(lines), os.environ) as program:
            first = await program.stdout.first_line()
            await program.wait()
            return first, program.stdout.take()

    assert asyncio.run(play()) == (b"one\n", b"two\n")


def test_a_program_that_ends_without_a_line_ends_the_waiting() -> None:
    async def play() -> bytes:
        async with started(python("print('half', end='')"), os.environ) as program:
            return await program.stdout.first_line()

    assert asyncio.run(play()) == b"half"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def play() -> None:
        async with started([str(tmp_path / "none")], os.environ):
            pass

    with pytest.raises(UserError, match=r"cannot start .*none: No such file"):
        asyncio.run(play())
