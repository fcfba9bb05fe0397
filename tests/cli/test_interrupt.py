"""Ctrl-C in the middle of a run: nothing is left behind, and no record is lost."""

import os
import signal
import socket
from pathlib import Path

import msgspec
import pytest

from mitm.events import AnyEvent, ScenarioStarted
from tests.programs import MITM_DEMO, alive, client_folder, gone, run, running

# The client tells that it is there, by a pipe, and then waits to be ended.
WAITING = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
with open({fifo!r}, "w") as fifo:
    fifo.write(f"{{os.getpid()}} {{child.pid}}")
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_no_process_no_file_and_whole_lines(
    tmp_path: Path, number: signal.Signals
) -> None:
    fifo, log, temporary = tmp_path / "fifo", tmp_path / "events.jsonl", tmp_path / "tmp"
    os.mkfifo(fifo)
    temporary.mkdir()
    client = client_folder(tmp_path / "waiting", WAITING.format(fifo=str(fifo)))
    command = (MITM_DEMO, "run", "insecure", "--client", client, "--events", log)
    with running(*command, TMPDIR=str(temporary)) as process:
        clients = [int(pid) for pid in fifo.read_text().split()]
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [int(pid) for task in tasks for pid in task.read_text().split()]
        started = clients + children
        assert len(started) >= 3
        assert all(map(alive, started))
        assert list(temporary.iterdir())
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
    assert gone(*started)
    assert list(temporary.iterdir()) == []
    events = [msgspec.json.decode(line, type=AnyEvent) for line in log.read_bytes().splitlines()]
    assert isinstance(events[0], ScenarioStarted)


def test_a_run_that_is_ended_by_force_leaves_no_process(tmp_path: Path) -> None:
    """Nobody can be told of SIGKILL: the kernel closes a pipe, and whoever waits there acts."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    client = client_folder(tmp_path / "waiting", WAITING.format(fifo=str(fifo)))
    command = (MITM_DEMO, "run", "insecure", "--client", client)
    with running(*command, TMPDIR=str(tmp_path)) as process:
        clients = [int(pid) for pid in fifo.read_text().split()]
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [int(pid) for task in tasks for pid in task.read_text().split()]
        # The server, the client with its child, and who watches over them.
        assert len({*clients, *children}) == 5
        process.kill()
        process.wait()
        assert gone(*clients, *children)


def test_ctrl_c_ends_the_interceptor_and_every_connection_is_recorded_to_its_end(
    tmp_path: Path,
) -> None:
    log = tmp_path / "events.jsonl"
    command = (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--events", log)
    with running(*command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        address = process.stdout.readline().split()[2].rstrip(",")
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))):
            assert "connects from" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
    kinds = [msgspec.json.decode(line)["event"] for line in log.read_bytes().splitlines()]
    assert kinds == ["connected", "closed"]


def test_a_reader_of_the_pipe_that_leaves_is_no_error() -> None:
    result = run("bash", "-c", f"{MITM_DEMO} run insecure | head -n 1")
    assert result.code == 0
    assert result.err == ""


def test_the_temporary_directory_of_a_whole_run_is_gone(tmp_path: Path) -> None:
    result = run(MITM_DEMO, "run", "insecure", "--json", TMPDIR=str(tmp_path))
    assert result.code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_script_has_started_in_the_background_can_be_ended(number: signal.Signals) -> None:
    """A shell without job control has such programs ignore SIGINT."""
    command = f"trap '' INT; exec {MITM_DEMO} proxy --listen 127.0.0.1:0"
    with running("bash", "-c", command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("listening on ")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
