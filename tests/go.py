"""Clients in Go, of one file and its standard library."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def build(source: str, folder: Path) -> Path:
    """Build a program; without Go, the test is skipped.

    Args:
        source: of its one file.
        folder: that it is put into.

    Returns:
        Where it is.
    """
    if not shutil.which("go"):
        pytest.skip("go is needed: https://go.dev/dl, or apt install golang-go")
    (folder / "client.go").write_text(source)
    subprocess.run(
        ["go", "build", "-o", "client", "client.go"],
        cwd=folder,
        check=True,
        env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"},
    )
    return folder / "client"
