"""What the tests of this folder share."""

import pytest

from tests.probe.lab import Lab, made


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return made(tmp_path_factory.mktemp("lab"))
