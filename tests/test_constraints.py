"""What development and CI install: versions with hashes, for every Python that is supported."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = {
    "constraints.txt": [*PROJECT["dependencies"], *(r for e in EXTRAS for r in EXTRAS[e])],
    "constraints-run.txt": [*PROJECT["dependencies"], "hatchling"],
}
OF_A_FEW = {"atheris"}  # of the extra `fuzz`


def pins(name: str) -> Iterator[tuple[Requirement, str]]:
    """What a file pins, and the lines behind it."""
    for entry in re.split(r"\n(?=\S)", (ROOT / name).read_text()):
        if not entry.startswith("#"):
            head, _, rest = entry.partition(" \\\n")
            yield Requirement(head), rest


@pytest.mark.parametrize("name", FILES)
def test_everything_that_is_asked_for_is_pinned_with_hashes(name: str) -> None:
    known = {pin.name.lower(): pin for pin, _ in pins(name)}
    for text in FILES[name]:
        asked = Requirement(text)
        if asked.name in {"mitm-demo", *OF_A_FEW}:
            continue
        pin = known.get(asked.name.lower())
        assert pin, f"{asked.name} is not in {name}: make constraints"
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in asked.specifier, f"{pin} is not {asked}: make constraints"
    for pin, rest in pins(name):
        hashes = rest.replace("\\", "").split()
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), pin


@pytest.mark.parametrize("name", FILES)
def test_no_registry_and_no_machine_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "/tmp" not in text  # noqa: S108
    assert "index-url" not in text


def test_what_runs_is_part_of_what_was_tried() -> None:
    assert {*map(str, dict(pins("constraints-run.txt")))} <= {
        *map(str, dict(pins("constraints.txt")))
    }


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_each_python_is_given_one_version_of_everything(python: str) -> None:
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    here |= {"sys_platform": "linux", "platform_python_implementation": "CPython"}
    names = [
        pin.name
        for pin, _ in pins("constraints.txt")
        if pin.marker is None or Marker(str(pin.marker)).evaluate(here)
    ]
    assert len(names) == len({*names})
    assert {"grpcio", "pytest", "ruff"} <= {*names}
    if python == f"{sys.version_info[0]}.{sys.version_info[1]}":
        assert "uvloop" in names


def test_the_classifiers_are_known_to_the_registry() -> None:
    """What it does not know it refuses when a release is uploaded."""
    classifiers = pytest.importorskip("trove_classifiers").classifiers
    told = PROJECT["classifiers"]
    assert {*told} <= classifiers
    assert told == sorted(told)
    assert {"Framework :: Pytest", "Topic :: Security"} <= {*told}
