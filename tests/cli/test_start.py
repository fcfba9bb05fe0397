"""Commands start at once: what a command does not need is not loaded for it."""

import importlib
import json
import sys
from pathlib import Path

import click
import pytest

from mitm.cli.group import COMMANDS, cli, load
from tests.programs import MITM_DEMO, client_folder, run

# Each takes longer to load than all that a short command does.
DEAR = {
    "asyncio",
    "cryptography",
    "google.protobuf",
    "grpc",
    "h2",
    "rich",
    "ssl",
    "uvloop",
    "mitm.audit",
    "mitm.pki",
    "mitm.proxy",
}

# Runs the command line in this process, whatever becomes of it, and writes down what it has loaded.
WATCHED = """
import atexit, json, os, sys
sys.argv = ["mitm-demo", *sys.argv[2:]]
file = sys.orig_argv[3]
atexit.register(lambda: open(file, "w").write(json.dumps([*sys.modules])))
os.execvpe = lambda *words: sys.exit(0)
from mitm.cli import main
main()
"""


def loaded(where: Path, *words: str, code: int = 0, **environment: str) -> set[str]:
    """What of the dear ones a command loads, until it ends or becomes another program."""
    file = where / "modules.json"
    result = run(sys.executable, "-c", WATCHED, str(file), *words, **environment)
    assert result.code == code, result
    return DEAR & {*json.loads(file.read_text())}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        ([], 2),
        (["nope"], 2),
        (["--nope"], 2),
        (["call", "--help"], 0),
        (["call", "--policy", "insecure"], 2),
        (["call", "--policy", "insecure", "--target", "localhost:1"], 0),
        (["call", "--policy", "insecure", "--target", "10.0.0.1:1"], 2),
        (["serve"], 0),
        (["serve", "--help"], 0),
        (["run", "--help"], 0),
        (["run", "--nope"], 2),
        (["list", "--help"], 0),
        (["list", "nope"], 2),
        (["show", "--help"], 0),
        (["show"], 2),
    ],
    ids=str,
)
def test_a_short_command_loads_nothing_that_takes_long(
    tmp_path: Path, words: list[str], code: int
) -> None:
    assert loaded(tmp_path, *words, code=code) == set()


def test_a_client_of_ones_own_is_called_without_it_as_well(tmp_path: Path) -> None:
    folder = client_folder(tmp_path / "own", "")
    words = ("call", "--client", str(folder), "--policy", "insecure", "--target", "localhost:1")
    assert loaded(tmp_path, *words) == set()


@pytest.mark.parametrize(
    "words",
    [
        "mitm-demo ",
        "mitm-demo ca",
        "mitm-demo call --policy ",
        "mitm-demo run ski",
        "mitm-demo run --client ",
        "mitm-demo show ski",
        "mitm-demo list ",
    ],
)
def test_a_shell_that_completes_does_not_wait_for_it(tmp_path: Path, words: str) -> None:
    found = loaded(
        tmp_path,
        _MITM_DEMO_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert found == set()


def test_what_a_command_needs_is_loaded_for_it(tmp_path: Path) -> None:
    """The twin: these would be seen."""
    assert {"rich", "cryptography", "mitm.pki"} <= loaded(tmp_path, "list")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("limit", [20, 45, 1000])
def test_the_group_tells_of_a_command_what_it_tells_of_itself(name: str, limit: int) -> None:
    own = load(name)
    assert own.name == name
    assert not own.hidden
    assert not own.deprecated
    told = cli.commands[name].get_short_help_str(limit)
    assert told == own.get_short_help_str(limit)


def test_every_command_is_in_the_group() -> None:
    modules = {where.partition(":")[0] for where, _ in COMMANDS.values()}
    found = [
        each
        for module in modules
        for each in vars(importlib.import_module(module)).values()
        if isinstance(each, click.Command)
    ]
    groups = [each for each in found if isinstance(each, click.Group)]
    below = [command for group in groups for command in group.commands.values()]
    assert {each.name for each in found if each not in below} == {*COMMANDS}


@pytest.mark.parametrize(
    "module", ["mitm.cli.group", "mitm.cli.lessons", "mitm.cli.contents", "rich", "msgspec"]
)
def test_ctrl_c_while_it_is_loaded_is_quiet(module: str) -> None:
    program = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from mitm.cli import main\n"
        "sys.argv = ['mitm-demo', 'list']\n"
        "main()\n"
    )
    result = run(sys.executable, "-c", program)
    assert (result.code, result.out, result.err) == (130, "", "")


def test_ctrl_c_while_a_class_is_made_is_quiet(tmp_path: Path) -> None:
    """Python 3.11 makes a RuntimeError of what is raised there."""
    program = (
        "import sys, os, signal\n"
        "class Field:\n"
        "    def __set_name__(self, owner, name):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(10): pass\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rich':\n"
        "            type('Made', (), {'field': Field()})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from mitm.cli import main\n"
        "sys.argv = ['mitm-demo', 'list']\n"
        "main()\n"
    )
    result = run(sys.executable, "-c", program)
    assert (result.code, result.out, result.err) == (130, "", "")


def test_an_unknown_command_is_told_as_before() -> None:
    result = run(MITM_DEMO, "cal")
    assert result.code == 2
    assert "No such command 'cal'" in result.err
