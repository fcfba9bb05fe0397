"""Writes the tables of certs/README.md: python -m docs.catalogue [FILE]    (make catalogue)"""

import itertools
import sys
from pathlib import Path

from docs.marked import filled
from mitm import content
from mitm.audit import Entry, catalogue
from mitm.errors import UserError

PAGE = content.CERTS / "README.md"

HEAD = "| certificate | what it is | a correct client | severity |\n| --- | --- | --- | --- |"


def tables() -> str:
    """A section with a table for each family."""
    by_place = sorted(catalogue(), key=lambda recipe: recipe.place)
    return "\n\n".join(
        "\n".join([f"### {family.title()}\n", HEAD, *map(_row, recipes)])
        for family, recipes in itertools.groupby(by_place, key=lambda recipe: recipe.family)
    )


def _row(recipe: Entry) -> str:
    file = content.to_try()[recipe.name].relative_to(content.CERTS).as_posix()
    link = f"[{recipe.name}]({file})"
    return f"| {link} | {recipe.title} | {recipe.expect}s | {recipe.severity} |"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.write_text(filled(PAGE.read_text(), {"catalogue": f"\n{tables()}\n"}))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"catalogue: {error}")
