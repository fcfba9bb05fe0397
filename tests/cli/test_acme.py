"""A public CA in a scenario: played for real, or not at all."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mitm.lab.acme import missing
from tests.cli.test_interrupt import WAITING
from tests.programs import MITM_DEMO, Result, client_folder, gone, mitm_demo, running

here = pytest.mark.skipif(bool(missing()), reason=missing())

# What certificates of a public CA are told by, wherever they are shown.
_ISSUER = "issued by CN=Pebble Intermediate CA"


@here
def test_a_public_ca_issues_the_server_renews_and_no_call_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    result = mitm_demo("run", "acme", "--json", "--events", log)
    assert result.code == 0, result
    (outcome,) = result.json_lines
    assert [leg["verdict"] for leg in outcome["legs"]] == ["connected", "connected", "aborted"]
    issued = [(e["authority"], e["member"]) for e in _events(log) if e["event"] == "issued"]
    assert issued == [("public CA", "server")] * 2
    renewals = [e for e in _events(log) if e["event"] == "renewed"]
    assert [(e["server"], e["calls_kept"], e.get("calls_lost", 0)) for e in renewals] == [
        ("server", 1, 0)
    ]


@here
def test_whoever_answers_the_challenge_is_the_server_to_all_but_a_pin(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    result = mitm_demo("run", "acme-hijack", "--details", "--events", log)
    assert result.code == 0, result
    assert _ISSUER in result.out
    issued = [(e["member"], e["address"]) for e in _events(log) if e["event"] == "issued"]
    assert issued == [("server", "127.0.0.1"), ("attacker", "127.0.0.2")]
    told = "public CA looks for localhost at 127.0.0.2, as its DNS says, finds the right answer"
    assert told in " ".join(result.out.split())
    presented = [e for e in _events(log) if e["event"] == "certificate-presented"]
    assert presented
    assert all(e["issuer"].startswith("CN=Pebble Intermediate CA") for e in presented)


@here
def test_a_client_that_trusts_another_public_ca_does_not_connect(tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text(
        "---\n"
        "title: Two public CAs\n"
        "order: 1\n"
        "cast:\n"
        "  - {name: one CA, program: acme-server}\n"
        "  - {name: other CA, program: acme-server}\n"
        "  - {name: client, program: client, policy: system-roots, store: [one CA]}\n"
        "  - {name: client of both, program: client, policy: system-roots,"
        " store: [one CA, other CA]}\n"
        "  - {name: server, program: server, issued_by: other CA}\n"
        "legs:\n"
        "  - {path: [client, server], expected: failed}\n"
        "  - {path: [client of both, server], expected: connected}\n"
        "point: Whatever.\n"
        "---\n\n## How to fix it\n\nNot at all.\n"
    )
    result = mitm_demo("run", mine, "--json")
    assert result.code == 0, result


def _events(log: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]


def _without(tmp_path: Path, *programs: str) -> str:
    """A PATH on which all of the machine's programs are, but for some."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("env", "sh", "uname"):
        if (path := shutil.which(name)) and name not in programs:
            (folder / name).symlink_to(path)
    return str(folder)


def _not_played(result: Result) -> str:
    assert result.code == 4, result
    assert result.err == ""
    (line,) = result.out.splitlines()
    return line


@pytest.mark.parametrize("scenario", ["acme", "acme-hijack"])
def test_without_pebble_it_is_not_played_and_a_line_says_how_it_would_be(
    tmp_path: Path, scenario: str
) -> None:
    path = _without(tmp_path, "pebble", "pebble-challtestsrv")
    line = _not_played(mitm_demo("run", scenario, PATH=path))
    assert line.startswith(
        f"{scenario} was not played: a public CA cannot be played without pebble"
    )
    assert "apt install pebble" in line


def test_without_the_library_it_is_not_played_either(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("pebble", "pebble-challtestsrv"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # An import that finds nothing, as where the extra is not installed.
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'acme' else found(name, *more)\n"
    )
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    line = _not_played(mitm_demo("run", "acme", PATH=path, PYTHONPATH=str(hidden)))
    assert line.endswith("without the Python library acme: pip install 'mitm-demo[acme]'")


def test_programs_are_told_so_as_json(tmp_path: Path) -> None:
    result = mitm_demo("run", "insecure", "acme", "--json", PATH=_without(tmp_path, "pebble"))
    assert result.code == 4
    played, other = result.json_lines
    assert (played["scenario"], played["matched"]) == ("insecure", True)
    assert other["scenario"] == "acme"
    assert "apt install pebble" in other["not_played"]


def test_the_doctor_knows_what_it_takes(tmp_path: Path) -> None:
    told = mitm_demo("doctor", PATH=_without(tmp_path, "pebble")).out
    (line,) = (each for each in told.splitlines() if each.startswith("pebble "))
    assert "missing" in line
    assert "apt: pebble" in line
    assert any(each.startswith("acme ") for each in told.splitlines())


@here
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_ca_behind(tmp_path: Path, number: signal.Signals) -> None:
    fifo, temporary = tmp_path / "fifo", tmp_path / "tmp"
    os.mkfifo(fifo)
    temporary.mkdir()
    waiting = WAITING.format(fifo=str(fifo))
    client = client_folder(tmp_path / "waiting", waiting, "system-roots")
    command = (MITM_DEMO, "run", "acme", "--client", client)
    with running(*command, TMPDIR=str(temporary)) as process:
        clients = [int(pid) for pid in fifo.read_text().split()]
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [int(pid) for task in tasks for pid in task.read_text().split()]
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in children}
        assert {"pebble", "pebble-challtes"} <= names
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
    assert gone(*clients, *children)
    assert list(temporary.iterdir()) == []
