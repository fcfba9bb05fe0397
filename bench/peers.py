"""Finds what is compared with, and installs what is no package of the system out of the way."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mitm.errors import UserError

CACHE = Path(__file__).parent.parent / ".bench"

# grpc-dump is a part of it.
_GRPC_TOOLS = "github.com/bradleyjkemp/grpc-tools"
_GRPC_TOOLS_VERSION = "v0.2.6"

_GO_SECONDS = 300


def cache() -> Path:
    """The folder for all of it, which git does not see."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    return CACHE


def mitmdump() -> Path:
    """The program of mitmproxy, in a virtual environment of its own.

    Raises:
        UserError: it could not be installed.
    """
    environment = CACHE / "mitmproxy"
    program = environment / "bin" / "mitmdump"
    if not program.exists():
        print("bench: installing mitmproxy in .bench/", file=sys.stderr)
        cache()
        try:
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            pip = [str(environment / "bin" / "pip"), "install", "--quiet", "mitmproxy"]
            subprocess.run(pip, check=True)
        except subprocess.CalledProcessError as error:
            raise UserError(f"mitmproxy could not be installed: {error}") from None
    return program


def mitmproxy_version(program: Path) -> str:
    """`mitmproxy 11.0.2`."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0].lower().replace(": ", " ")


@functools.cache
def haproxy() -> str | None:
    """The program of haproxy, None if it is not installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def haproxy_version() -> str:
    """`haproxy 2.6.12`."""
    program = haproxy()
    assert program
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    return "haproxy " + said.stdout.split()[2]


def echo() -> str:
    """The server in Go, built from `echo.go`.

    Raises:
        UserError: there is no Go, or it could not be built.
    """
    return built(Path(__file__).with_name("echo.go"), "echo")


def built(source: Path, name: str) -> str:
    """A program in Go, of one file and its standard library.

    Args:
        source: the file.
        name: of the program.

    Raises:
        UserError: there is no Go, or it could not be built.
    """
    program = str(cache() / name)
    _go(["build", "-o", program, str(source)], CACHE, GO111MODULE="off", CGO_ENABLED="0")
    return program


def grpc_dump() -> Path:
    """The program of grpc-tools, built in a module of its own.

    Raises:
        UserError: there is no Go, or it could not be fetched or built.
    """
    module = cache() / "grpc-tools"
    program = module / "grpc-dump"
    if not program.exists():
        module.mkdir(exist_ok=True)
        (module / "go.mod").write_text("module bench\n")
        _go(["get", f"{_GRPC_TOOLS}/grpc-dump@{_GRPC_TOOLS_VERSION}"], module)
        _go(["build", "-o", str(program), f"{_GRPC_TOOLS}/grpc-dump"], module)
    return program


def _go(arguments: list[str], where: Path, **environment: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise UserError("which needs Go: https://go.dev/dl, or apt install golang-go")
    try:
        subprocess.run(
            [go, *arguments],
            cwd=where,
            check=True,
            capture_output=True,
            text=True,
            timeout=_GO_SECONDS,
            env={**os.environ, **environment},
        )
    except subprocess.TimeoutExpired:
        raise UserError("which Go could not fetch in time") from None
    except subprocess.CalledProcessError as error:
        # Where it looked, and why it was sent away, is of this machine.
        print(f"bench: go {' '.join(arguments)}: {error.stderr}", file=sys.stderr)
        raise UserError("which Go could not fetch and build here") from None
