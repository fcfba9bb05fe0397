"""Prints the lowest version of each dependency that pyproject.toml allows, for pip.

Usage: pip install $(python scripts/lowest.py) --editable '.[test]'
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    optional = project["optional-dependencies"]
    for dependency in (*project["dependencies"], *optional["server"], "pytest>=7.4"):
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", dependency).groups()
        print(f"{name}=={bound}")


if __name__ == "__main__":
    main()
