"""The animals of the zoo: each a client in one file, with a header that says what is wrong with it.

The header is YAML between two lines of `---`, in the first comment of the file, whatever its
language. CONTRIBUTING.md tells how an animal is added.
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import msgspec
import yaml

from mitm.audit import Endpoint
from mitm.front_matter import convert
from tests.zoo.flaws import FLAWS

ZOO = Path(__file__).parent

# Long enough that every certificate can be made for it.
NAME = "server.lab.mitm-demo.test"

# What is set in the environment of an animal that is to be sound: the line that is wrong is then
# the one that would have been right.
MENDED = "MENDED"

Line = Annotated[str, msgspec.Meta(pattern=r"^[^\n]+$")]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Line
    case: Line
    flaw: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("{target}", "{ca}", "{name}")
    environment: dict[str, str] = {}
    name: str = NAME
    run: Literal["function", "program"] = "function"
    why: Line | None = None


class Animal(msgspec.Struct, frozen=True, dict=True):
    """One client of the zoo.

    Attributes:
        path: its program.
        title: what it does, in a sentence.
        case: what it is the replica of: a CVE, an issue, a page of a documentation.
        flaw: the classes of what is wrong with it, of `FLAWS`; () if it is sound.
        arguments: what it is given on its command line, with the placeholders of `audit`.
        environment: what is set in the environment for it.
        name: the name that it is to expect.
        run: whether its flaw shows only when it is run as a `program`; the others are called as a
            `function` in this process as well.
        why: a `program` has to be one.
        text: the whole file.
    """

    path: Path
    title: str
    case: str
    flaw: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: dict[str, str]
    name: str
    run: Literal["function", "program"]
    why: str | None
    text: str

    @property
    def id(self) -> str:
        """Its name, by which it is told from the others."""
        return self.path.stem.replace("_", "-")

    @cached_property
    def code(self) -> list[str]:
        """Its lines behind the comment in which the header stands, without empty ones."""
        _, _, rest = self.text.split("\n---\n", 2)
        return [line for line in rest.splitlines()[1:] if line.strip()]

    @cached_property
    def caught_by(self) -> tuple[str, ...]:
        """The certificates and attacks that must catch it, by what is wrong with it."""
        return tuple(dict.fromkeys(n for flaw in self.flaw for n in FLAWS[flaw].caught_by))

    @cached_property
    def rejects(self) -> tuple[str, ...]:
        """What it rejects all the same: what has nothing to do with any of its flaws."""
        kept = [FLAWS[flaw].rejects for flaw in self.flaw]
        names = kept[0] if kept else ()
        return tuple(n for n in names if all(n in k for k in kept) and n not in self.caught_by)


def animals(language: Literal["python", "go"]) -> dict[str, Animal]:
    """The animals that are written in a language, by their names."""
    suffix = {"python": "py", "go": "go"}[language]
    found = [
        _read(path)
        for path in sorted((ZOO / language).glob(f"*.{suffix}"))
        if path.stem not in _SHARED
    ]
    return {animal.id: animal for animal in found}


# What the animals share: how a call is made, and how a chain is checked.
_SHARED = {"rpc", "chains"}


def _read(path: Path) -> Animal:
    text = path.read_text(encoding="utf-8")
    header = re.match(r'(?:"""|/\*)\n---\n(.*?\n)---\n', text, re.DOTALL)
    assert header, f"{path}: begins with a comment whose first line is ---"
    said = convert(path, yaml.safe_load(header[1]), _Header)
    unknown = set(said.flaw) - FLAWS.keys()
    assert not unknown, f"{path}: flaw: {unknown}, of which tests/zoo/flaws.py knows nothing"
    return Animal(path=path, text=text, **msgspec.structs.asdict(said))


def function_of(animal: Animal, *, mended: bool = False) -> Callable[[Endpoint], object]:
    """An animal in Python as a function, which is called in this process.

    Args:
        animal: which.
        mended: without its flaw.
    """
    module = _load(animal.path)
    setattr(module, MENDED, mended)

    def client(endpoint: Endpoint) -> object:
        values: Mapping[str, str] = {str(k): v for k, v in endpoint.placeholders().items()}
        return module.main(*(argument.format_map(values) for argument in animal.arguments))

    client.__name__ = animal.id
    return client


def _load(path: Path) -> ModuleType:
    """A fresh copy of a program: what it remembers, it remembers for one audit."""
    spec = spec_from_file_location(f"zoo_{path.stem}", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment_of(animal: Animal, *, mended: bool = False) -> dict[str, str]:
    """What is set in the environment of an animal that is run as a program."""
    return animal.environment | ({MENDED: "1"} if mended else {})


def command_of(animal: Animal, program: list[str], *, mended: bool = False) -> list[str]:
    """The command with which an animal is audited as a program.

    Args:
        animal: which.
        program: how its program is started: `[python, path]`, or what was built of it.
        mended: without its flaw.
    """
    variables = [f"{k}={v}" for k, v in environment_of(animal, mended=mended).items()]
    return [*(["env", *variables] if variables else []), *program, *animal.arguments]


assert not os.environ.get(MENDED), f"{MENDED} is set in this environment: no animal has a flaw"
