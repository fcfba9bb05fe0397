"""Plays the animals of the zoo that are written in Python."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from mitm.audit.in_process import ClientUnderTest
from tests.zoo.animals import ZOO, Animal, command_of, environment_of, function_of

SECONDS = 20.0


@contextmanager
def python_client(animal: Animal, *, mended: bool = False) -> Iterator[ClientUnderTest]:
    """An animal in Python as what can be audited, while the block lasts.

    A function, which is called in this process, or the command of a program.
    """
    if animal.run == "program":
        yield command_of(animal, [sys.executable, str(animal.path)], mended=mended)
        return
    # As a program's own folder is on the path on which it looks for what it imports.
    beside = [str(ZOO / "python"), *sys.path]
    environment = environment_of(animal, mended=mended)
    with patch.object(sys, "path", beside), patch.dict(os.environ, environment):
        yield function_of(animal, mended=mended)
