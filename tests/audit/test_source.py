"""Where a result stands: on the client's code, from the root of its repository."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mitm.audit.conclusion import conclude
from mitm.audit.reports import Source, as_sarif, source_at, source_of_command
from mitm.errors import UserError
from tests.audit.findings import MIXED

SCHEMA = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a client of three lines, in which one works."""
    code = tmp_path / "my app" / "client.go"
    code.parent.mkdir()
    code.write_text("package main\n\nfunc main() {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "line"),
    [("my app/client.go", 1), ("my app/client.go:3", 3), ("./my app/../my app/client.go:2", 2)],
)
def test_a_place_is_told_from_the_folder_in_which_one_works(
    tree: Path, place: str, line: int
) -> None:
    assert source_at(place) == Source("my app/client.go", line)
    assert source_at(str(tree / place)) == Source("my app/client.go", line)


@pytest.mark.parametrize("git", ["directory", "file"])
def test_in_a_repository_it_is_told_from_its_root(
    tree: Path, monkeypatch: pytest.MonkeyPatch, git: str
) -> None:
    """As code scanning wants it; in a worktree, `.git` is a file."""
    if git == "directory":
        (tree / ".git").mkdir()
    else:
        (tree / ".git").touch()
    elsewhere = tree / "elsewhere"
    elsewhere.mkdir()
    for folder, place in ((tree / "my app", "client.go:2"), (elsewhere, "../my app/client.go:2")):
        monkeypatch.chdir(folder)
        assert source_at(place) == Source("my app/client.go", 2)
    monkeypatch.chdir(tree / "my app")
    assert source_of_command(["./client.go", "{target}"]) == Source("my app/client.go")


def test_a_file_with_a_colon_in_its_name_is_that_file(tree: Path) -> None:
    (tree / "odd:2").write_text("one\n")
    assert source_at("odd:2") == Source("odd:2")
    assert source_at("odd:2:1") == Source("odd:2")


def test_a_link_in_the_repository_stands_where_it_stands(tree: Path) -> None:
    (tree / "link.go").symlink_to(tree / "my app" / "client.go")
    assert source_at("link.go:3") == Source("link.go", 3)


def test_the_last_line_needs_no_line_break(tree: Path) -> None:
    (tree / "two").write_text("one\ntwo")
    assert source_at("two:2") == Source("two", 2)
    (tree / "empty").touch()
    assert source_at("empty") == Source("empty", 1)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere.go", "there is no such file"),
        ("nowhere.go:3", "there is no such file"),
        ("my app", "there is no such file"),
        ("my app/client.go:4", "has 3 lines"),
        ("my app/client.go:0", "lines begin at 1"),
        ("my app/client.go:-1", "there is no such file"),
        ("my app/client.go:x", "there is no such file"),
        ("my app/client.go:٣", "there is no such file"),
        ("my app/client.go:" + "9" * 5000, "has 3 lines"),
        ("x" * 5000, "there is no such file"),
        ("empty:1", "has 0 lines"),
        ("", "there is no such file"),
        (":3", "there is no such file"),
        ("/etc/passwd:1", "it stands outside of"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_place_is_refused(tree: Path, place: str, said: str) -> None:
    (tree / "empty").touch()
    with pytest.raises(UserError, match=said):
        source_at(place)


def test_sarif_has_its_results_there(tree: Path) -> None:
    check: Callable[[object], None] = jsonschema.Draft4Validator(
        json.loads(SCHEMA.read_text())
    ).validate
    place = source_at("my app/client.go:3")
    log: dict[str, Any] = json.loads(as_sarif(MIXED, conclude(MIXED), place, strict=True))
    check(log)
    (run,) = log["runs"]
    assert run["results"]
    for result in run["results"]:
        (location,) = result["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": "my%20app/client.go", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 3},
        }


def test_two_clients_of_one_build_do_not_replace_each_other() -> None:
    """A code-scanning service keeps the last results of each category."""
    ids = {
        json.loads(as_sarif(MIXED, conclude(MIXED), source, strict=False))["runs"][0][
            "automationDetails"
        ]["id"]
        for source in (Source("a/client.py"), Source("b/client.py"))
    }
    assert len(ids) == 2
    assert all(each.endswith("/") for each in ids)


def test_a_name_that_is_no_text_is_a_uri_all_the_same() -> None:
    """Half a surrogate pair comes from JSON; a byte that is not UTF-8, from a file system."""
    for name, uri in (("a/\udcff.py", "a/%FF.py"), ("a/\ud800.py", "a/%ED%A0%80.py")):
        assert uri in as_sarif(MIXED, conclude(MIXED), Source(name), strict=False)
