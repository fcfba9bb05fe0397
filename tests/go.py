"""Clients in Go."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def build(source: str, folder: Path) -> Path:
    """Build a program of one file and Go's standard library; without Go, the test is skipped.

    Args:
        source: of its one file.
        folder: that it is put into.

    Returns:
        Where it is.
    """
    _needed()
    (folder / "client.go").write_text(source)
    subprocess.run(
        ["go", "build", "-o", "client", "client.go"],
        cwd=folder,
        check=True,
        env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"},
    )
    return folder / "client"


def module_built(folder: Path, *arguments: str) -> None:
    """Run `go build` in a module; without Go, or its modules, the test is skipped.

    Args:
        folder: of the module.
        arguments: for `go build`.
    """
    _needed()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    fetched = subprocess.run(
        ["go", "mod", "download"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        said = " ".join(fetched.stderr.split())[-300:]
        pytest.skip(f"its modules cannot be fetched ({said}): go mod download in {folder.name}")
    subprocess.run(["go", "build", *arguments], cwd=folder, check=True, env=environment)


def _needed() -> None:
    if not shutil.which("go"):
        pytest.skip("go is needed: https://go.dev/dl, or apt install golang-go")
