"""Prints the lowest version that pyproject.toml allows of each dependency, for pip.

Usage: pip install $(python scripts/lowest.py) --editable '.[acme,test]'
"""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [extras[name] for name in ("acme", "server", "test")]
    for dependency in (*project["dependencies"], *(each for extra in asked for each in extra)):
        requirement, _, _ = dependency.partition(";")
        print(requirement.strip().replace(">=", "=="))


if __name__ == "__main__":
    main()
