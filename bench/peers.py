"""Installs what is compared with and is no package of the system, out of the project's way."""

import subprocess
import sys
from pathlib import Path

from mitm.errors import UserError

CACHE = Path(__file__).parent.parent / ".bench"


def mitmdump() -> Path:
    """The program of mitmproxy, in a virtual environment of its own.

    Raises:
        UserError: it could not be installed.
    """
    environment = CACHE / "mitmproxy"
    program = environment / "bin" / "mitmdump"
    if not program.exists():
        print("bench: installing mitmproxy in .bench/", file=sys.stderr)
        CACHE.mkdir(exist_ok=True)
        (CACHE / ".gitignore").write_text("*\n")
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
