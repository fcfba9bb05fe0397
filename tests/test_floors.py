"""The floors of the house: each package has one of its own, and imports only from below."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mitm

# From the ground up, as the table of docs/architecture.md. A package stands for all of its modules;
# `mitm` alone is `mitm/__init__.py`, which hands out what users import. No two share a floor, so
# that there can be no circle.
FLOORS = [
    "mitm.errors",
    "mitm.credentials",
    "mitm.masking",
    "mitm.last_words",
    "mitm.content",
    "mitm.address",
    "mitm.front_matter",
    "mitm.programs",
    "mitm.surroundings",
    "mitm.events",
    "mitm.tls",
    "mitm.messages",
    "mitm.wire",
    "mitm.descriptors",
    "mitm.pki",
    "mitm.proxy",
    "mitm.capture",
    "mitm.evidence",
    "mitm.verdict",
    "mitm.audit",
    "mitm.explain",
    "mitm.lab",
    "mitm.matrix",
    "mitm.html",
    "mitm.learn",
    "mitm.room",
    "mitm.cli",
    "mitm.__main__",
    "mitm.pytest_plugin",
    "mitm",
]

# What a package must not know of beyond that, by its job.
_SOCKETS = {"socket", "socketserver", "select", "selectors", "asyncio"}
_IO = _SOCKETS | {"os", "io", "pathlib", "subprocess", "ssl", "tempfile", "time"}
_PRINTING = {"rich", "click", "mitm.capture"}
KNOWS_NO = {
    "mitm.events": _IO,
    "mitm.tls": _SOCKETS,
    "mitm.messages": _IO,
    "mitm.wire": _IO,
    "mitm.pki": _SOCKETS | {"mitm.events"},
    # The loop is no socket: what happens in one turn of it is written in one go.
    "mitm.capture": (_SOCKETS - {"asyncio", "select"}) | {"mitm.proxy"},
    "mitm.evidence": _IO | _PRINTING,
    "mitm.verdict": _IO | _PRINTING,
    "mitm.explain": (_IO - {"pathlib"}) | _PRINTING,
}

_ROOT = Path(mitm.__file__).parent
_PAGE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"


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


def _home(module: str) -> str | None:
    """The package on whose floor a module lives."""
    # Nothing stands for the whole house but `mitm/__init__.py` itself.
    return module if module == "mitm" else _within(module, {*FLOORS} - {"mitm"})


def _offences(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports that it may not."""
    home = _home(module)
    if home is None:
        return [f"{module} has no floor: give it one in FLOORS"]
    found = []
    for imported in _imports(source, module, package=package):
        if _within(imported, KNOWS_NO.get(home, set())):
            found.append(f"{module} knows of {imported}")
        if imported.partition(".")[0] != "mitm":
            continue
        target = _home(imported)
        if target is None:
            found.append(f"{module} imports {imported}, which has no floor")
        elif FLOORS.index(target) > FLOORS.index(home):
            found.append(f"{module} imports {imported}, and {target} is above {home}")
    return found


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(_ROOT.rglob("*.py")):
        parts = ("mitm", *path.relative_to(_ROOT).with_suffix("").parts)
        # In an installed wheel the content lies inside the package; its programs import nothing.
        if parts[1] != "content" or len(parts) == 2:
            yield ".".join(part for part in parts if part != "__init__"), path


_MODULES = dict(_modules())


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_imports_only_from_its_own_package_or_from_below(module: str) -> None:
    path = _MODULES[module]
    assert _offences(path.read_text(), module, package=path.name == "__init__.py") == []


def test_every_floor_is_lived_on_by_one_package() -> None:
    assert len({*FLOORS}) == len(FLOORS)
    assert {_home(module) for module in _MODULES} == {*FLOORS}
    assert {*KNOWS_NO} <= {*FLOORS}


def test_the_architecture_page_shows_the_same_floors() -> None:
    _, _, table = _PAGE.read_text().partition("| package | its one job |\n")
    rows, _, _ = table.partition("\n\n")
    assert re.findall(r"^\| `([\w.]+)` \| \S", rows, re.MULTILINE) == FLOORS
    assert rows.count("\n") == len(FLOORS), "each has a row of its own"


# Whoever wants a verdict in a program of theirs has no use for what draws on a terminal.
def test_up_to_the_verdict_nothing_but_capture_loads_what_prints() -> None:
    quiet = {*FLOORS[: FLOORS.index("mitm.verdict") + 1]} - {"mitm.capture"}
    modules = [module for module in _MODULES if _home(module) in quiet]
    script = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(name)
    loaded = {_PRINTING} & {{*sys.modules}}
    assert not loaded, f"{{name}} loads {{loaded}}"
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


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
        ("mitm.wire.made_up", "import time"),
        ("mitm.messages.made_up", "from pathlib import Path"),
        ("mitm.messages.made_up", "from mitm.wire.frames import Flag"),
        ("mitm.errors", "from mitm.masking import plain"),
        ("mitm.events", "import os.path"),
        ("mitm.pki.made_up", "from mitm.events import Event"),
        ("mitm.tls.made_up", "from mitm.proxy.peer import Peer"),
        ("mitm.proxy.made_up", "from mitm.capture import Console"),
        ("mitm.proxy.made_up", "from mitm.verdict import judge_intercepted"),
        ("mitm.proxy.made_up", "from mitm.lab.scenario import Scenario"),
        ("mitm.capture.made_up", "from mitm.proxy import Interceptor"),
        ("mitm.verdict", "from pathlib import Path"),
        ("mitm.verdict", "from rich.text import Text"),
        ("mitm.verdict", "from mitm.capture import Console"),
        ("mitm.verdict", "from mitm import audit"),
        ("mitm.audit.made_up", "from mitm.lab import play"),
        ("mitm.audit.made_up", "import mitm.pytest_plugin"),
        ("mitm.lab.made_up", "from mitm.cli import main"),
        ("mitm.cli.made_up", "import mitm"),
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
        ("mitm.wire.made_up", "from mitm.messages import Schema"),
        ("mitm.pki.made_up", "import ssl\nfrom mitm.errors import UserError"),
        ("mitm.tls.made_up", "import ssl"),
        ("mitm.proxy.made_up", "import asyncio, socket\nfrom mitm.tls import TlsLeg"),
        ("mitm.verdict", "from mitm.masking import masked"),
        ("mitm.audit.made_up", "from mitm.programs import started\nfrom mitm import proxy"),
        ("mitm.lab.made_up", "from mitm.audit import Case"),
        ("mitm.cli.made_up", "from mitm.audit import run_audit\nimport click"),
        ("mitm", "from mitm import audit"),
    ],
)
def test_an_import_from_below_is_not(module: str, source: str) -> None:
    assert _offences(source, module) == []


def test_an_import_of_a_package_from_its_own_init_is_resolved() -> None:
    assert _offences("from .frames import Flag", "mitm.wire", package=True) == []
    assert _offences("from ..proxy import Interceptor", "mitm.wire", package=True)
