"""The clients of the zoo in Python: each is caught for its flaw, and without it left alone."""

from collections.abc import Sequence

import pytest

from mitm import audit
from tests.zoo.animals import Animal, animals
from tests.zoo.played import assert_caught, assert_left_alone
from tests.zoo.players import SECONDS, python_client

PYTHON = animals("python")
FLAWED = {name: animal for name, animal in PYTHON.items() if animal.flaw}
SOUND = {name: animal for name, animal in PYTHON.items() if not animal.flaw}


def play(animal: Animal, mended: bool, names: Sequence[str]) -> audit.Report:
    with python_client(animal, mended=mended) as client:
        return audit.run(client, only=names, name=animal.name, timeout=SECONDS)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_a_flaw_is_caught(animal: Animal) -> None:
    assert_caught(animal, play)


@pytest.mark.parametrize("animal", FLAWED.values(), ids=FLAWED)
def test_the_same_client_without_its_flaw_is_left_alone(animal: Animal) -> None:
    assert_left_alone(animal, play, mended=True)


@pytest.mark.parametrize("animal", SOUND.values(), ids=SOUND)
def test_a_sound_client_that_looks_suspicious_is_left_alone(animal: Animal) -> None:
    assert_left_alone(animal, play)
