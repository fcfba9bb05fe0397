"""The floors of the house: a module imports only from its own floor or below."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mitm

# From the ground up; a package stands for all of its modules. `mitm` alone is `mitm/__init__.py`,
# which hands out what users import.
FLOORS = {
    "mitm.errors": 1,
    "mitm.content": 1,
    "mitm.address": 1,
    "mitm.front_matter": 1,
    "mitm.events": 1,
    "mitm.pki": 1,
    "mitm.wire": 1,
    "mitm.tls": 2,
    "mitm.proxy": 3,
    "mitm.capture": 3,
    "mitm.verdict": 4,
    "mitm.lab": 5,
    "mitm.audit": 5,
    "mitm.cli": 6,
    "mitm.pytest_plugin": 6,
    "mitm": 6,
}

# What a package must not know of beyond that, by its job.
_SOCKETS = {"socket", "socketserver", "select", "selectors", "asyncio"}
_IO = _SOCKETS | {"os", "io", "pathlib", "subprocess", "ssl", "tempfile", "time"}
KNOWS_NO = {
    "mitm.events": _IO,
    "mitm.pki": _SOCKETS | {"mitm.events"},
    "mitm.wire": _SOCKETS | {"ssl"},
    "mitm.tls": _SOCKETS,
    "mitm.proxy": {"mitm.capture"},
    # The loop is no socket: what happens in one turn of it is written in one go.
    "mitm.capture": (_SOCKETS - {"asyncio"}) | {"mitm.proxy"},
    "mitm.verdict": _IO,
}

_ROOT = Path(mitm.__file__).parent


def _imports(source: str, module: str, *, package: bool) -> Iterator[str]:
    """The modules that a module imports, anywhere in it, and may have loaded with them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + package]
                base = ".".join([*parents, *filter(None, [base])])
            for alias in node.names:
                # `from mitm import events` imports a module, `from mitm.events import Event` not.
                yield f"{base}.{alias.name}" if base == "mitm" else base


def _within(module: str, packages: set[str]) -> str | None:
    """The innermost of these packages that a module belongs to."""
    name = module
    while name:
        if name in packages:
            return name
        name = name.rpartition(".")[0]
    return None


def _offences(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports that it may not."""
    # Nothing stands for the whole house but `mitm/__init__.py` itself.
    home = module if module == "mitm" else _within(module, set(FLOORS) - {"mitm"})
    if home is None:
        return [f"{module} has no floor: give it one in FLOORS"]
    found = []
    for imported in _imports(source, module, package=package):
        if _within(imported, KNOWS_NO.get(home, set())):
            found.append(f"{module} knows of {imported}")
        if imported.partition(".")[0] != "mitm":
            continue
        target = "mitm" if imported == "mitm" else _within(imported, set(FLOORS) - {"mitm"})
        if target is None:
            found.append(f"{module} imports {imported}, which has no floor")
        elif FLOORS[target] > FLOORS[home]:
            found.append(
                f"{module} on floor {FLOORS[home]} imports {imported} from floor {FLOORS[target]}"
            )
    return found


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(_ROOT.rglob("*.py")):
        parts = ("mitm", *path.relative_to(_ROOT).with_suffix("").parts)
        # In an installed wheel the content lies inside the package; its programs import nothing.
        if parts[1] != "content" or len(parts) == 2:
            yield ".".join(part for part in parts if part != "__init__"), path


_MODULES = dict(_modules())


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_imports_only_from_its_own_floor_or_below(module: str) -> None:
    path = _MODULES[module]
    assert _offences(path.read_text(), module, package=path.name == "__init__.py") == []


def test_every_floor_is_lived_on() -> None:
    homes = {_within(module, set(FLOORS)) for module in _MODULES}
    assert homes == set(FLOORS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mitm.wire.made_up", "from mitm.proxy import Interceptor"),
        ("mitm.wire.made_up", "import mitm.proxy.peer"),
        ("mitm.wire.made_up", "import mitm.proxy.peer as peer"),
        ("mitm.wire.made_up", "from mitm import events, verdict"),
        ("mitm.wire.made_up", "from ..proxy import peer"),
        ("mitm.wire.made_up", "from .. import proxy"),
        ("mitm.wire.made_up", "def late() -> None:\n    from mitm.lab import play"),
        ("mitm.wire.made_up", "import mitm"),
        ("mitm.wire.made_up", "import asyncio"),
        ("mitm.wire.made_up", "from socket import socket"),
        ("mitm.events", "import os.path"),
        ("mitm.pki.made_up", "from mitm.events import Event"),
        ("mitm.tls.made_up", "from mitm.proxy.peer import Peer"),
        ("mitm.proxy.made_up", "from mitm.verdict import judge_intercepted"),
        ("mitm.proxy.made_up", "from mitm.lab.scenario import Scenario"),
        ("mitm.capture.made_up", "from mitm.proxy import Interceptor"),
        ("mitm.verdict", "from pathlib import Path"),
        ("mitm.verdict", "from mitm import audit"),
        ("mitm.lab.made_up", "from mitm.cli import main"),
        ("mitm.audit.made_up", "import mitm.pytest_plugin"),
        ("mitm.made_up", "import sys"),
        ("mitm.wire.made_up", "from mitm import made_up"),
    ],
)
def test_an_import_from_above_is_found(module: str, source: str) -> None:
    assert _offences(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mitm.wire.made_up", "from mitm.events import Event\nimport struct"),
        ("mitm.wire.made_up", "from mitm import events"),
        ("mitm.wire.made_up", "from . import frames\nfrom .frames import Flag"),
        ("mitm.wire.made_up", "from ..events import Event"),
        ("mitm.pki.made_up", "import ssl\nfrom mitm.errors import UserError"),
        ("mitm.tls.made_up", "import ssl"),
        ("mitm.proxy.made_up", "import asyncio, socket\nfrom mitm.tls import TlsLeg"),
        ("mitm.verdict", "from mitm.masking import masked"),
        ("mitm.audit.made_up", "from mitm.programs import started\nfrom mitm import proxy"),
        ("mitm.cli.made_up", "from mitm.audit import run_audit\nimport mitm"),
        ("mitm", "from mitm import audit"),
    ],
)
def test_an_import_from_below_is_not(module: str, source: str) -> None:
    assert _offences(source, module) == []


def test_an_import_of_a_package_from_its_own_init_is_resolved() -> None:
    assert _offences("from .frames import Flag", "mitm.wire", package=True) == []
    assert _offences("from ..proxy import Interceptor", "mitm.wire", package=True)
