"""Runs the project's programs as a user does: as processes of their own, with their output read."""

import json
import os
import random
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from mitm import content

MITM_DEMO = str(Path(sys.executable).parent / "mitm-demo")

# Seconds. Generous: the machine may be busy, and what takes longer than this hangs.
LIMIT = 150

# A proxy that is not there: the discard port (RFC 863).
NOWHERE = "http://127.0.0.1:9"


class Result(NamedTuple):
    """What came of a program."""

    code: int
    out: str
    err: str

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """Its output, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*command: str | Path, **environment: str) -> Result:
    """Run a program to its end."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=_environment(environment),
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def _environment(changed: dict[str, str]) -> dict[str, str]:
    # Wide enough that no sentence is broken over two lines; no colours of the caller's terminal.
    kept = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")}
    return kept | {"COLUMNS": "250"} | changed


def mitm_demo(*arguments: str | Path, **environment: str) -> Result:
    """Run `mitm-demo` to its end."""
    return run(MITM_DEMO, *arguments, **environment)


def refused(result: Result) -> str:
    """The one line with which wrong input was refused; a traceback would be more than one."""
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert line.startswith(("mitm-demo: ", "server: ", "ingress: ", "client: "))
    return line


@contextmanager
def running(*command: str | Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A program while it runs; killed at the end if the test has not stopped it."""
    with subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(environment),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(
    *arguments: str | Path, **environment: str
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The victim server and its address."""
    command = (sys.executable, content.SERVER, "--listen", "127.0.0.1:0", *arguments)
    with running(*command, **environment) as process:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())["listening"]


def client_folder(folder: Path, program: str, policy: str = "insecure") -> Path:
    """Write a client of the test's own, a Python program, and give its folder."""
    folder.mkdir()
    (folder / "client.py").write_text(program)
    (folder / "README.md").write_text(
        "---\n"
        "title: A client for a test\n"
        'command: ["{python}", "{folder}/client.py"]\n'
        f"policies: [{policy}]\n"
        "---\n"
    )
    return folder


def scenario_file(path: Path, **changed: str) -> Path:
    """Write a scenario of the test's own: `insecure`, but for what is changed.

    Args:
        path: of the file.
        changed: keys of its front matter, and `client`, `attacker` and `server`, `genuine` and
            `intercepted`: what stands in the places of these.
    """
    said = {
        "client": "policy: insecure",
        "attacker": "certificate: attacker-ca",
        "server": "mode: plaintext",
        "genuine": "connected",
        "intercepted": "exposed",
    } | changed
    fields = {
        "title": "Of a test",
        "order": "1",
        "cast": f"""
  - {{name: client, program: client, {said["client"]}}}
  - {{name: attacker, program: interceptor, {said["attacker"]}}}
  - {{name: server, program: server, {said["server"]}}}""",
        "legs": f"""
  - {{path: [client, server], expected: {said["genuine"]}}}
  - {{path: [client, attacker, server], expected: {said["intercepted"]}}}""",
        "point": "Whatever.",
    } | {key: value for key, value in changed.items() if key not in _IN_PLACES}
    front = "\n".join(f"{key}: {value}" for key, value in fields.items() if value)
    path.write_text(f"---\n{front}\n---\n\n## What happens\n\nA lesson of its own.\n")
    return path


_IN_PLACES = ("client", "attacker", "server", "genuine", "intercepted")


def leg_of(outcome: dict[str, Any], kind: str = "intercepted") -> dict[str, Any]:
    """The one leg of a kind in what `run --json` says of a scenario."""
    legs: list[dict[str, Any]] = [each for each in outcome["legs"] if each["leg"] == kind]
    (leg,) = legs
    return leg


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(*pids: int) -> bool:
    """Whether processes that were sent a signal are gone, which takes them a moment."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], LIMIT)[0]:
                return False
        finally:
            os.close(descriptor)
    return True


def free_port() -> str:
    """A port that stays free: one that no kernel gives to whoever asks for any (ip(7))."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
