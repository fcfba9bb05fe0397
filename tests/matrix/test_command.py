"""`mitm-demo matrix`, as its users run it, on two small clients."""

import json
import os
import pty
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from mitm import content
from tests.programs import (
    LIMIT,
    MITM_DEMO,
    Result,
    client_folder,
    mitm_demo,
    refused,
    running,
)

CLIENTS = Path(__file__).parent / "clients"
CAREFUL, CARELESS = CLIENTS / "careful", CLIENTS / "careless"

# Of each kind one: who signed it, whose name, a sound one, an attack, a fault of the configuration.
SOME = "attacker-ca,wrong-host,mixed-case,handshake-reset,ca-missing"


def matrix(*words: str | Path, certs: str = SOME, **environment: str) -> Result:
    return mitm_demo("matrix", "--certs", certs, *words, **environment)


def clients(*folders: Path) -> tuple[str, str]:
    return "--clients", ",".join(map(str, folders))


def cells(told: dict[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (row["client"], row["policy"]): {
            cell["case"]: f"{cell['did']} {cell['kept']}".strip() for cell in row["cells"]
        }
        for row in told["rows"]
    }


def test_two_clients_and_all_their_policies(tmp_path: Path) -> None:
    file, page = tmp_path / "matrix.json", tmp_path / "matrix.html"
    result = matrix(*clients(CAREFUL, CARELESS), "--json", file, "--html", page)
    assert result.code == 1, result
    told = json.loads(file.read_text())
    found = cells(told)
    forgeries = ("attacker-ca", "wrong-host", "handshake-reset")
    turned_away = dict.fromkeys(forgeries, "refused kept")
    assert found["careful", "ca-file"] == {
        "genuine": "took kept",
        "mixed-case": "took kept",
        "ca-missing": "refused kept",
        **turned_away,
    }
    assert found["careful", "no-ca"] == {
        "genuine": "refused kept",
        "mixed-case": "refused kept",
        "ca-missing": "untried",
        **turned_away,
    }
    assert found["careless", "ca-file"]["wrong-host"] == "took broken"
    assert found["careless", "ca-file"]["attacker-ca"] == "refused kept"
    # It lets everybody in, and so it does in the name of a policy that lets nobody in.
    assert found["careless", "no-ca"]["genuine"] == "took broken"
    assert found["careless", "skip-verify"]["attacker-ca"] == "took open"
    states = {(row["client"], row["policy"]): row for row in told["rows"]}
    unsupported = states["careful", "pinned"]
    assert unsupported["state"] == "unsupported"
    assert "Python's ssl takes no leaf for a root" in unsupported["reason"]
    assert states["careless", "pinned"]["state"] == "unsupported"
    assert len(states) == len(told["rows"])
    assert told["cases"][0]["name"] == "genuine"
    assert "Exit code 1" in result.out
    assert "took wrong-host" in result.out
    assert "Python's ssl takes no leaf for a root" in result.out
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_the_careful_one_alone_is_as_its_policies_promise() -> None:
    result = matrix(*clients(CAREFUL), "--policies", "ca-file,no-ca", "--json", "-")
    assert result.code == 0, result
    told = json.loads(result.out)
    assert {row["state"] for row in told["rows"]} == {"tried"}


def test_evidence_is_with_each_cell() -> None:
    result = matrix(*clients(CAREFUL), "--policies", "ca-file", "--json", "-")
    [row] = json.loads(result.out)["rows"]
    found = {cell["case"]: cell for cell in row["cells"]}
    refused = found["attacker-ca"]
    assert refused["evidence"]["connections"][0]["alert"] == "unknown_ca (48)"
    assert refused["code"] == "UNAVAILABLE"
    assert "certificate verify failed" in refused["message"]
    taken = found["mixed-case"]
    assert taken["evidence"]["calls"][0]["method"] == "/users.v1.UserService/GetUser"


def test_a_client_whose_tool_is_missing_is_told_and_its_absence_is_not_clean(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    shutil.copytree(CARELESS, other)
    readme = other / "README.md"
    readme.write_text(
        readme.read_text().replace("policies:", "requires: [no-such-tool]\npolicies:")
    )
    options = ("--policies", "ca-file", "--json", "-")
    result = matrix(*clients(CAREFUL, other), *options)
    # Somebody has named it, and counts on it.
    assert result.code == 3, result
    assert "not here: other" in matrix(*clients(CAREFUL, other), "--policies", "ca-file").out
    assert matrix(*clients(CAREFUL), *options).code == 0
    states = {row["client"]: row for row in json.loads(result.out)["rows"]}
    assert states["other"]["state"] == "missing"
    assert "no-such-tool" in states["other"]["reason"]
    # Where nobody was tried, nothing is proved.
    assert matrix(*clients(other), *options).code == 3


def test_what_got_worse_is_named_and_what_did_not_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(CAREFUL, folder)
    readme = folder / "README.md"
    text = readme.read_text().replace("{folder}/../..", str(CLIENTS.parent))
    readme.write_text(text)
    words = (*clients(folder), "--policies", "ca-file")
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert matrix(*words, "--json", old).code == 0
    again = matrix(*words, "--against", old, ONE_SAYS="something else")
    assert again.code == 0
    assert "Nothing has changed" in again.out
    readme.write_text(text.replace(" careful]", " careless]"))
    worse = matrix(*words, "--against", old, "--json", new)
    assert worse.code == 1
    assert "mine, ca-file: wrong-host: refused → took, against its policy" in worse.out
    # And mended again.
    readme.write_text(text)
    better = matrix(*words, "--against", new)
    assert better.code == 0
    assert "better" in better.out


def copy_of(client: Path, folder: Path) -> Path:
    """A client of one's own, in a folder that may be edited."""
    shutil.copytree(client, folder)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("{folder}/../..", str(CLIENTS.parent)))
    return folder


def test_two_clients_of_one_name_are_refused_and_one_that_is_named_twice_is_tried_once(
    tmp_path: Path,
) -> None:
    one, other = copy_of(CAREFUL, tmp_path / "a" / "c"), copy_of(CARELESS, tmp_path / "b" / "c")
    told = refused(matrix(*clients(one, other)))
    assert "two clients are called 'c'" in told
    assert str(one) in told
    assert str(other) in told
    words = (*clients(one, one / ".."), "--policies", "ca-file,ca-file", "--json", "-")
    assert [row["client"] for row in json.loads(matrix(*words).out)["rows"]] == ["c"]


FALLS = f"""
import os, sys
sys.path.insert(0, {str(CLIENTS.parent)!r})
import one
well = one.ask
def ask(connection, token):
    answered = well(connection, token)
    if "wrong.example" in str(connection.getpeercert()["subject"]):
        os.abort()
    return answered
one.ask = ask
sys.argv.insert(1, KIND)
sys.exit(one.main())
"""


@pytest.mark.parametrize(("kind", "code"), [("careless", 1), ("careful", 0)])
def test_who_has_let_somebody_in_is_not_excused_by_a_crash(
    tmp_path: Path, kind: str, code: int
) -> None:
    folder = client_folder(tmp_path / kind, FALLS.replace("KIND", repr(kind)), "ca-file")
    result = matrix(*clients(folder), "--policies", "ca-file", "--json", "-", certs="wrong-host")
    assert result.code == code, result
    [row] = json.loads(result.out)["rows"]
    found = {cell["case"]: (cell["did"], cell["kept"], cell["crash"]) for cell in row["cells"]}
    assert found["wrong-host"] == (
        ("took", "broken", "SIGABRT") if code else ("refused", "kept", "")
    )


def test_where_nothing_applies_nothing_is_proved() -> None:
    words = (*clients(CAREFUL), "--policies", "system-roots")
    assert matrix(*words, certs="ca-missing").code == 3
    assert matrix(*words, certs="ca-missing,attacker-ca").code == 0


def test_an_interrupted_matrix_keeps_whole_rows_and_goes_on(tmp_path: Path) -> None:
    """The second client waits in its first call, until the whole is interrupted."""
    file, fifo = tmp_path / "matrix.json", tmp_path / "fifo"
    os.mkfifo(fifo)
    other = tmp_path / "waiting"
    other.mkdir()
    program = other / "client.py"
    program.write_text(f"import signal, sys\nopen({str(fifo)!r}, 'w').close()\nsignal.pause()\n")
    (other / "README.md").write_text(
        '---\ntitle: Waits\ncommand: ["{python}", "{folder}/client.py"]\n'
        "policies: [ca-file]\n---\n\nWaits.\n"
    )
    words = ("matrix", "--certs", SOME, "--policies", "ca-file", "--timeout", "60")
    with running(MITM_DEMO, *words, "--json", file, *clients(CAREFUL, other)) as process:
        with fifo.open():
            pass
        while not file.exists() or not json.loads(file.read_text())["rows"]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "1 of 2 rows" in err
    assert "--continue" in err
    merged = mitm_demo("merge", file)
    assert merged.code == 2
    assert "is not whole: it has 1 of 2 rows" in merged.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    [row] = json.loads(file.read_text())["rows"]
    assert row["client"] == "careful"
    # Whoever is asked again would find nobody at home.
    program.write_text("raise SystemExit('never again')\n")
    result = mitm_demo(*words, "--json", file, "--continue", *clients(CAREFUL))
    assert result.code == 0
    assert json.loads(file.read_text())["rows"] == [row]


def test_going_on_takes_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "matrix.json"
    words = (*clients(CAREFUL, CARELESS), "--policies", "ca-file", "--json", file)
    assert matrix(*words).code == 1
    told = json.loads(file.read_text())
    kept, tried = told["rows"]
    kept["title"] = "as it was"
    told["rows"] = [kept]
    file.write_text(json.dumps(told))
    assert matrix(*words, "--continue").code == 1
    rows = json.loads(file.read_text())["rows"]
    assert rows[0]["title"] == "as it was"
    assert rows[1]["client"] == tried["client"]
    # Without the word, all is tried anew.
    assert matrix(*words).code == 1
    assert json.loads(file.read_text())["rows"][0]["title"] != "as it was"


def test_going_on_tries_anew_what_was_edited(tmp_path: Path) -> None:
    """Of what says the same of its version, the files tell."""
    folder, file = copy_of(CAREFUL, tmp_path / "mine"), tmp_path / "matrix.json"
    own = tmp_path / "own.md"
    recipe = (content.CERTS / "wrong-host.md").read_text()
    own.write_text(recipe)
    words = (*clients(folder), "--policies", "ca-file", "--json", file, "--continue")
    certs = f"attacker-ca,{own}"
    assert matrix(*words, certs=certs).code == 0
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace(" careful]", " careless]"))
    assert matrix(*words, certs=certs).code == 1
    own.write_text(recipe + "\nMore of it.\n")
    assert "is of other certificates" in refused(matrix(*words, certs=certs))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--policies", "pined"), "no policy is called 'pined'"),
        (("--clients", "pyton"), "did you mean 'python'?"),
        (("--certs", "expird"), "did you mean 'expired'?"),
        (("--continue",), "--json FILE"),
        (("--against", "/nowhere/old.json"), "--against: cannot read /nowhere/old.json"),
        (("--json", "/nowhere/new.json"), "--json: cannot write /nowhere/new.json"),
        (("--against", __file__), "is no JSON of 'mitm-demo matrix'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line(words: tuple[str, ...], told: str) -> None:
    result = mitm_demo("matrix", *words)
    assert result.code == 2
    assert result.out == ""
    assert told in result.err
    assert result.err.count("\n") == 1


def test_a_progress_bar_counts_the_cells_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(leader, 4096)
            except OSError:
                return
            if not data:
                return
            seen.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    words = ("--certs", "attacker-ca", "--policies", "ca-file", *clients(CAREFUL))
    subprocess.run(
        [MITM_DEMO, "matrix", *words],
        stdout=subprocess.DEVNULL,
        stderr=follower,
        env={**os.environ, "TERM": "xterm"},
        timeout=LIMIT,
        check=True,
    )
    os.close(follower)
    reader.join()
    os.close(leader)
    assert b"cells" in seen
