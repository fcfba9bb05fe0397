"""The clients of the zoo in Python: each is caught for its flaw, and without it left alone."""

import os
import sys
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from mitm import audit
from tests.zoo.animals import ZOO, Animal, animals, command_of, environment_of, function_of
from tests.zoo.played import assert_caught, assert_left_alone

PYTHON = animals("python")
FLAWED = {name: animal for name, animal in PYTHON.items() if animal.flaw}
SOUND = {name: animal for name, animal in PYTHON.items() if not animal.flaw}

SECONDS = 20.0


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program's own folder is on the path on which it looks for what it imports."""
    monkeypatch.syspath_prepend(ZOO / "python")


def play(animal: Animal, mended: bool, names: Sequence[str]) -> audit.Report:
    if animal.run == "function":
        with patch.dict(os.environ, environment_of(animal, mended=mended)):
            client = function_of(animal, mended=mended)
            return audit.run(client, only=names, name=animal.name, timeout=SECONDS)
    command = command_of(animal, [sys.executable, str(animal.path)], mended=mended)
    return audit.run(command, only=names, name=animal.name, timeout=SECONDS)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_a_flaw_is_caught(animal: Animal) -> None:
    assert_caught(animal, play)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_the_same_client_without_its_flaw_is_left_alone(animal: Animal) -> None:
    assert_left_alone(animal, play, mended=True)


@pytest.mark.parametrize("animal", SOUND.values(), ids=SOUND)
def test_a_sound_client_that_looks_suspicious_is_left_alone(animal: Animal) -> None:
    assert_left_alone(animal, play)
