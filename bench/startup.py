"""What starting `mitm-demo` costs: CPU of the whole process, as the kernel counts it."""

import os
import subprocess
import time

from bench import ways
from mitm.errors import UserError

COMMANDS = ("--version", "--help", "call --help")
DEMO = "skip-verify"


def cpu_seconds(command: str) -> float:
    """CPU seconds of a command of `mitm-demo`, from its start to its end.

    Args:
        command: its arguments.

    Raises:
        UserError: it failed.
    """
    process = subprocess.Popen(
        [ways.program(), *command.split()], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"mitm-demo {command} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def demo() -> float:
    """Run the demonstration as a user would; seconds of wall time.

    Raises:
        UserError: it failed.
    """
    start = time.monotonic()
    done = subprocess.run([ways.program(), "run", DEMO], capture_output=True, text=True)
    spent = time.monotonic() - start
    if done.returncode:
        raise UserError(f"mitm-demo run {DEMO} ended with {done.returncode}: {done.stderr}")
    return spent
