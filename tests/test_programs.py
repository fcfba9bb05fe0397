"""Programs that the lab starts end with it, whatever they do."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mitm import programs
from mitm.errors import UserError
from mitm.programs import OUTPUT_LIMIT, Ended, started
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


def test_a_line_without_end_keeps_nobody_waiting() -> None:
    endless = f"import signal\nprint('x' * {3 * OUTPUT_LIMIT}, end='', flush=True)\nsignal.pause()"

    async def play() -> bytes:
        async with started(python(endless), os.environ) as program:
            return await program.stdout.first_line()

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


# Run to an end


def ran(
    program: str, *, seconds: float = 60, enough: bool = False, by_shell: bool = False
) -> Ended:
    async def main() -> Ended:
        needless = asyncio.Event()
        if enough:
            needless.set()
        words = ["sh", "-c", program] if by_shell else [sys.executable, "-c", program]
        return await programs.run(words, os.environ, seconds, needless)

    return asyncio.run(main())


def test_a_program_that_ends_is_told_with_its_code_and_words() -> None:
    ended = ran("print('out'); raise SystemExit('err')")
    assert (ended.how, ended.code, ended.at, ended.left_behind) == ("ended", 1, None, ())
    assert ended.said == "exit code 1: err"


def test_a_program_that_goes_on_is_ended_when_its_time_is_up_or_it_is_not_needed() -> None:
    forever = "import signal; signal.pause()"
    for ended, how in (
        (ran(forever, seconds=0.2), "still-running"),
        (ran(forever, enough=True), "stopped"),
    ):
        assert (ended.how, ended.code) == (how, None)
        assert ended.at is not None
        assert time.time() - 60 < ended.at < time.time()


def test_a_program_is_waited_for_where_the_kernel_has_no_descriptor_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert ran("raise SystemExit(3)").code == 3
    forever = "import signal; signal.pause()"
    assert ran(forever, enough=True).how == "stopped"


def test_what_was_there_before_a_run_is_not_taken_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable of the same value is set in one that was started by somebody else."""
    monkeypatch.setattr("mitm.programs.secrets.token_hex", lambda size: "the same")
    waits = [sys.executable, "-c", "print(flush=True); import signal; signal.pause()"]
    with subprocess.Popen(
        waits, env=os.environ | {"MITM_RUN": "the same"}, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        assert ran("pass").left_behind == ()
        other.kill()


def test_what_moves_to_a_session_of_its_own_is_named_and_not_ended() -> None:
    start = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', "
        "'import signal; signal.pause()'], start_new_session={}, stdout=-3).pid)"
    )
    apart = ran(start.format(True))
    try:
        assert len(apart.left_behind) == 1
        assert apart.left_behind[0].startswith("python")
        assert alive(int(apart.stdout))
    finally:
        os.kill(int(apart.stdout), signal.SIGKILL)
    # The twin: in the session of the program it is ended with it.
    within = ran(start.format(False))
    assert within.left_behind == ()
    assert gone(int(within.stdout))


@pytest.mark.parametrize(
    ("program", "crash"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os; os.kill(os.getpid(), 15)", ""),
        ("import sys; sys.exit(1)", ""),
        ("raise ValueError('refused')", ""),
        (
            "import sys; sys.stderr.write('panic: no\\n\\ngoroutine 1 [running]:\\n'); sys.exit(2)",
            "a panic",
        ),
        ("import sys; sys.stderr.write('usage: no panic: here\\n'); sys.exit(2)", ""),
        (
            "import sys; sys.stderr.write(\"thread 'main' panicked at a.rs\\n\"); sys.exit(101)",
            "a panic",
        ),
        ("import sys; sys.exit(101)", ""),
    ],
)
def test_a_crash_is_told_from_an_end_of_its_own(program: str, crash: str) -> None:
    assert ran(program).crash == crash


def test_a_shell_hands_on_how_its_command_ended() -> None:
    assert ran("sh -c 'kill -ABRT $$'; exit $?", by_shell=True).crash == "SIGABRT"
    assert ran("exit 6", by_shell=True).crash == ""
