"""The client under test as a command: what it is told, and that it and its children end."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mitm.audit import ClientRun, Command, Endpoint
from mitm.errors import UserError
from tests.audit.findings import SECRET
from tests.programs import alive, gone
from tests.proxy.stage import LoopFactory, run

ENDPOINT = Endpoint(
    host="::1", port=4711, name="api.test", ca_file=Path("/lab/ca.pem"), pin_file=Path("/lab/pin")
)
LONG = 60.0
SHORT = 0.5


def played(*words: str, time_limit: float = LONG, loop: LoopFactory | None = None) -> ClientRun:
    async def main() -> ClientRun:
        return await Command(words, time_limit)(ENDPOINT, asyncio.Event())

    return run(main(), loop or asyncio.new_event_loop)


def python(program: str, *arguments: str, time_limit: float = LONG) -> ClientRun:
    return played(sys.executable, "-c", program, *arguments, time_limit=time_limit)


def test_placeholders_are_filled_in_and_other_braces_left_alone() -> None:
    words = ("{target}", "{host}|{port}", "--ca={ca}", "{pin}{name}", '{"a": {}}', "{other}", "{")
    said = python("import sys; print(sys.argv[1:])", *words).said
    assert said == "exit code 0: " + str(
        [
            "[::1]:4711",
            "::1|4711",
            "--ca=/lab/ca.pem",
            "/lab/pinapi.test",
            '{"a": {}}',
            "{other}",
            "{",
        ]
    )


def test_the_same_stands_in_the_environment_beside_what_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OF_THE_TEST", "kept")
    names = ["MITM_TARGET", "MITM_HOST", "MITM_PORT", "MITM_CA", "MITM_PIN", "MITM_NAME"]
    program = f"import os; print([os.environ[n] for n in {[*names, 'OF_THE_TEST']}])"
    assert python(program).said == "exit code 0: " + str(
        ["[::1]:4711", "::1", "4711", "/lab/ca.pem", "/lab/pin", "api.test", "kept"]
    )


@pytest.mark.parametrize(
    ("program", "failed", "said"),
    [
        ("", False, "exit code 0"),
        ("import sys; sys.exit(7)", True, "exit code 7"),
        ("print('one'); print('two')", False, "exit code 0: two"),
        ("import sys; print('out'); sys.exit('err')", True, "exit code 1: err"),
        ("raise KeyError('k')", True, "exit code 1: KeyError: 'k'"),
        ("import os; os.kill(os.getpid(), 11)", True, "ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", True, "ended by signal 40"),
    ],
)
def test_how_it_ended_and_its_last_words(program: str, failed: bool, said: str) -> None:
    ran = python(program)
    assert (ran.end, ran.said, ran.failed) == ("ended", said, failed)


def test_its_secrets_are_not_repeated() -> None:
    program = "import sys; sys.exit(f'bad token: {sys.argv[2]}')"
    assert python(program, "--token", SECRET).said == "exit code 1: bad token: …"


def test_a_long_secret_is_masked_wherever_the_line_is_cut() -> None:
    secret = "c2VjcmV0" * 80
    ran = python("import sys; sys.exit('no: ' + sys.argv[2] + ' why')", "--token", secret)
    assert ran.said == "exit code 1: no: … why"
    assert ran.last_lines == ("no: … why",)


def test_it_has_no_terminal_to_ask_at() -> None:
    assert python("import sys; print(repr(sys.stdin.read()))").said == "exit code 0: ''"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("/nowhere/client", "No such file or directory"),
        ("no-such-program-anywhere", "No such file or directory"),
        ("/", "Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_is_named(
    word: str, reason: str, loop: LoopFactory
) -> None:
    with pytest.raises(UserError, match=f"cannot start {word}: {reason}"):
        played(word, loop=loop)


# A client that hangs, with a child. It says who they are, and only then waits: on SIGTERM it does
# what the test says.
FAMILY = """
import os, signal, subprocess, sys
stubborn = sys.argv[2] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
with open(sys.argv[1], "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
signal.pause()
while True:
    signal.pause()
"""


@pytest.mark.parametrize("kind", ["willing", "stubborn"])
def test_a_client_that_hangs_is_ended_with_its_children(
    tmp_path: Path, kind: str, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mitm.programs.GRACE_SECONDS", 0.2)
    pids = tmp_path / "pids"
    words = (sys.executable, "-c", FAMILY, str(pids), kind)
    ran = played(*words, time_limit=3, loop=loop)
    assert (ran.end, ran.said, ran.exit_code) == ("still-running", "still running", None)
    family = [int(pid) for pid in pids.read_text().split()]
    assert len(family) == 2
    assert gone(*family)


LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid)
"""


def test_a_child_left_behind_neither_holds_up_the_run_nor_lives_on(loop: LoopFactory) -> None:
    """The child holds the client's output open, which must not be waited for."""
    ran = played(sys.executable, "-c", LEAVES_A_CHILD, loop=loop)
    assert (ran.end, ran.left_behind) == ("ended", ())
    assert gone(int(ran.said.removeprefix("exit code 0: ")))


def test_a_client_that_prints_without_end_is_ended_and_fills_no_memory() -> None:
    ran = python("while True: print('x' * 1000)", time_limit=SHORT)
    assert ran.end == "still-running"


def test_a_cancelled_run_leaves_nobody_behind(tmp_path: Path, loop: LoopFactory) -> None:
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)

    async def main() -> list[int]:
        words = (sys.executable, "-c", FAMILY, str(fifo), "willing")
        task = asyncio.create_task(Command(words, LONG)(ENDPOINT, asyncio.Event()))
        pids = await asyncio.to_thread(fifo.read_text)
        family = [int(pid) for pid in pids.split()]
        assert all(map(alive, family))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return family

    assert gone(*run(main(), loop))


def test_sigint_is_not_passed_on_by_the_terminal() -> None:
    """The client has a session of its own: Ctrl-C is the audit's to deal with, in order."""
    assert python(f"import os; print(os.getsid(0) == {os.getsid(0)})").said.endswith("False")
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
