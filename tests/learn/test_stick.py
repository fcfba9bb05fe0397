"""What is gathered for a room without a network is enough there."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from mitm import content
from mitm.errors import UserError
from mitm.lab.builds import copy_sources
from mitm.lab.clients import Requirement, filled, load_client, places
from mitm.learn import stick
from mitm.learn.program import unavailable
from mitm.learn.stack import Stack, stacks
from tests.programs import mitm_demo

STACKS = stacks()

# Not in the list of a stack: what a client is built by, without compiling what others have written.
TAKES_ALL = {
    "go": [["go", "list", "-deps", "-mod=readonly", "."]],
    "rust": [["cargo", "metadata", "--locked", "--format-version=1"]],
    "python-asyncio": [
        [
            *("{python}", "-m", "pip", "install", "--dry-run", "--ignore-installed"),
            *("--require-hashes", "-r", "requirements.txt"),
        ]
    ],
    "cpp": [["cmake", "-S", ".", "-B", "{build}/out", "-DPROTO={proto}"]],
}

# Whoever asks all the same is told that nobody is there: the discard port (RFC 863).
NOWHERE = dict.fromkeys(("https_proxy", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")


def without_network(*command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command where there is no network; in a namespace of its own, if that can be had."""
    apart = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        apart = []
    environment = {**os.environ, **NOWHERE, **more}
    return subprocess.run(
        [*apart, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def builds_there(stack: Stack, gathered: Path, place: Path) -> bool:
    """Whether a stack's client finds on the stick what it is built of, where nothing else is."""
    client = load_client(stack.client)
    copy_sources(client.folder, place)
    values = places(client.folder, str(place)) | {"{stick}": str(gathered)}
    settings = stack.gather.there if stack.gather else {}
    there = {name: filled([value], values)[0] for name, value in settings.items()}
    if stack.name == "go":
        there |= {"GOMODCACHE": str(place / "modules"), "GOFLAGS": "-modcacherw"}
    return not any(
        without_network(*filled(words, values), folder=place, **there).returncode
        for words in TAKES_ALL.get(stack.name, client.build)
    )


def wheels_suffice(gathered: Path) -> bool:
    pip = (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet")
    wheels = ("--no-index", "--find-links", str(gathered / "wheels"))
    tried = without_network(*pip, *wheels, "mitm-demo[room]", "pytest", folder=gathered)
    return tried.returncode == 0


def test_what_is_gathered_is_enough_without_a_network(tmp_path: Path) -> None:
    gathered = tmp_path / "stick"
    result = mitm_demo("learn", "gather", gathered)
    if "cannot be gathered" in result.err:
        pytest.skip(f"a network is needed, or a mirror of packages: {result.err}")
    assert result.code == 0, result
    assert f"sh {gathered / stick.INSTALL}" in result.out
    assert wheels_suffice(gathered)
    # As it is on a laptop that has nothing but the stick.
    for stack in STACKS.values():
        missing = asyncio.run(unavailable(stack))
        assert (f"left out: {stack.title}: " in result.out) == bool(missing and stack.gather)
        if stack.client and not missing:
            assert builds_there(stack, gathered, tmp_path / stack.name), stack.name
            assert f" clients build {stack.client} " in (gathered / stick.INSTALL).read_text()
    checked = subprocess.run(["sh", "-n", gathered / stick.INSTALL], check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize("stack", ["go", "node", "python-asyncio", "rust"])
def test_without_what_is_gathered_it_is_not(stack: str, tmp_path: Path) -> None:
    """The twin: the check above would notice that something is missing."""
    if missing := asyncio.run(unavailable(STACKS[stack])):
        pytest.skip(missing)
    (tmp_path / "stick").mkdir()
    assert not builds_there(STACKS[stack], tmp_path / "stick", tmp_path / "copy")


def test_what_fetches_is_told_all_that_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network as well: the test above cannot tell a mistake from that."""
    told: list[str] = []

    async def fetch(
        title: str, words: Sequence[str], environment: Mapping[str, str], _: Path
    ) -> None:
        told.extend((*words, *(environment[name] for name in gathered[title].environment)))

    async def nothing_missing(stack: Stack) -> str:
        return ""

    async def no_wheels(folder: Path) -> None:
        pass

    gathered = {stack.title: stack.gather for stack in STACKS.values() if stack.gather}
    monkeypatch.setattr(stick, "_wheels", no_wheels)
    monkeypatch.setattr(stick, "_fetch", fetch)
    monkeypatch.setattr(stick, "unavailable", nothing_missing)
    stacks = [stack for stack in STACKS.values() if stack.gather]
    assert asyncio.run(stick.gather(tmp_path / "stick", stacks)) == {}
    assert any(str(tmp_path) in word for word in told)
    assert not [word for word in told if re.search(r"\{\w+\}", word)]


def test_without_wheels_nothing_is_installed(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    assert not wheels_suffice(tmp_path)


def test_a_stack_whose_tools_are_missing_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_wheels(folder: Path) -> None:
        pass

    monkeypatch.setattr(stick, "_wheels", no_wheels)
    needed = Requirement("no-such-tool", install="ask around")
    stack = replace(STACKS["go"], requires=(needed,))
    left_out = asyncio.run(stick.gather(tmp_path / "stick", [stack, STACKS["python"]]))
    (reason,) = left_out.values()
    assert list(left_out) == ["Go"]
    assert "no-such-tool" in reason
    assert "ask around" in reason


def test_what_cannot_be_fetched_is_a_users_error_and_nothing_is_to_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_wheels(folder: Path) -> None:
        pass

    monkeypatch.setattr(stick, "_wheels", no_wheels)
    assert STACKS["node"].gather
    fails = replace(STACKS["node"].gather, run=(("sh", "-c", "echo nobody there >&2; exit 1"),))
    stack = replace(STACKS["node"], gather=fails, client="python")
    with pytest.raises(UserError, match=r"Node.js: cannot be gathered: exit code 1: nobody there"):
        asyncio.run(stick.gather(tmp_path / "stick", [stack]))
    assert not (tmp_path / "stick" / stick.INSTALL).exists()


def test_an_installed_wheel_says_that_it_takes_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "ROOT", tmp_path)
    with pytest.raises(UserError, match="this is none"):
        asyncio.run(stick.gather(tmp_path / "stick", []))
    assert not (tmp_path / "stick").exists()


def test_a_path_with_a_space_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    place = tmp_path / "my stick"
    place.mkdir()
    script = place / stick.INSTALL
    script.write_text(stick._script(list(STACKS.values())))
    ended = subprocess.run(
        [shutil.which("sh") or "sh", script, tmp_path / "class"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "copy this folder" in ended.stderr
    assert not (tmp_path / "class").exists()
