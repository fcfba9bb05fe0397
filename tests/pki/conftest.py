"""What the tests of this folder share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from mitm.pki import Authorities, Chain, forge, load_recipe
from tests.pki.test_recipe import recipe_file


class Forged(Protocol):
    """What the fixture `forged` is."""

    def __call__(self, front: str, name: str = "localhost") -> Chain: ...


@pytest.fixture(scope="session")
def authorities() -> Authorities:
    """A run's own, for the names that the tests dial."""
    names = ["localhost", "server.mitm-demo.test", "server.lab.mitm-demo.test"]
    return Authorities([*names, "127.0.0.1", "::1"])


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def forged(tmp_path: Path, authorities: Authorities, now: datetime) -> Forged:
    """Forges for `localhost` what stands in a recipe's front matter."""

    def make(front: str, name: str = "localhost") -> Chain:
        return forge(load_recipe(recipe_file(tmp_path, front)), name, authorities, now)

    return make
