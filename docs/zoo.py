"""Writes the tables of docs/zoo.md from a run of the clients: python -m docs.zoo [NAME...]

Each is tried with all that the catalogue holds. For all of them (make zoo) that takes minutes;
where some are named, the others keep their rows.
"""

import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

from docs.marked import filled
from mitm import audit
from mitm.audit.conclusion import conclude
from mitm.audit.in_process import ClientUnderTest
from mitm.pki.recipe import Family
from tests.zoo import go_program
from tests.zoo.animals import Animal, animals, command_of
from tests.zoo.players import SECONDS, python_client

PAGE = Path(__file__).with_name("zoo.md")

LANGUAGES = {"python": "Python", "go": "Go"}


class Played(NamedTuple):
    """An animal, and what came of it."""

    animal: Animal
    language: str
    report: audit.Report

    @property
    def missed(self) -> list[str]:
        """What it must be caught by, and was not."""
        caught = {f.case.name for f in self.report.findings if f.outcome == "vulnerable"}
        return [name for name in self.animal.caught_by if name not in caught]

    @property
    def right(self) -> bool:
        """Whether it was caught, or left alone, as it should be."""
        wrong = 1 if self.animal.flaw else 0
        code = conclude(self.report, strict=bool(self.animal.flaw)).exit_code
        return code == wrong and not self.missed


def play(names: Collection[str] = ()) -> Iterator[Played]:
    """Try everything on these animals, or on all."""
    suites: dict[str, audit.Suite] = {}
    with audit.Auditor() as auditor:
        for language, animal in everyone():
            if names and animal.id not in names:
                continue
            if animal.name not in suites:
                suites[animal.name] = audit.forge_suite(audit.catalogue(), animal.name)
            with _client(animal, language) as client:
                report = auditor.audit(suites[animal.name], client, timeout=SECONDS)
            yield Played(animal, LANGUAGES[language], report)


def everyone() -> list[tuple[str, Animal]]:
    """All animals, each with its language."""
    return [(each, animal) for each in LANGUAGES for animal in animals(each).values()]


@contextmanager
def _client(animal: Animal, language: str) -> Iterator[ClientUnderTest]:
    if language == "python":
        with python_client(animal) as client:
            yield client
    else:
        yield command_of(animal, [str(go_program.build()), animal.id])


def row(played: Played) -> str:
    """What the page says of one client."""
    animal = played.animal
    if animal.flaw:
        caught = [
            f for f in played.report.findings if f.outcome == "vulnerable" and f.fails(strict=True)
        ]
        families = Counter(f.case.family for f in caught)
        parts = [f"{each} {families[each]}" for each in get_args(Family) if families[each]]
        came_to = f"{len(caught)}: {', '.join(parts)}"
        if not played.right:
            came_to += f"; **missed**: {', '.join(played.missed) or 'no build fails for it'}"
    elif played.right:
        came_to = "nothing"
    else:
        conclusion = conclude(played.report)
        came_to = f"**{', '.join(conclusion.failing) or conclusion.reason}**"
    return f"| `{animal.id}` ({played.language}) | {animal.title} | {animal.case} | {came_to} |"


def rows(page: str) -> dict[str, str]:
    """The rows of the tables, by the names of the clients."""
    found = re.findall(r"^(\| `([\w-]+)` \(.*)$", page, re.MULTILINE)
    return {name: line for line, name in found}


def tables(lines: dict[str, str]) -> dict[str, str]:
    """What the page says, by the name of the place where it stands.

    Args:
        lines: the rows, by the names of the clients; others are left out.
    """
    known = [animal for _, animal in everyone() if animal.id in lines]
    flawed = [lines[animal.id] for animal in known if animal.flaw]
    sound = [lines[animal.id] for animal in known if not animal.flaw]
    return {
        "count": _count(flawed, sound),
        "flawed": _table(["client", "what it does", "replica of", "caught by"], flawed),
        "sound": _table(["client", "what it does", "after", "accused of"], sound),
    }


def _count(flawed: Sequence[str], sound: Sequence[str]) -> str:
    missed = [line for line in flawed if "**" in line]
    accused = [line for line in sound if "**" in line]
    caught = len(flawed) - len(missed)
    return (
        f"Of {len(flawed)} flawed clients, {caught} are caught ({caught / len(flawed):.0%}). Of "
        f"{len(sound)} sound ones, {len(accused)} are accused. Missed, or accused wrongly: "
        f"{', '.join(rows(chr(10).join(missed + accused))) or 'none'}."
    )


def _table(head: Sequence[str], lines: Sequence[str]) -> str:
    ruled = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    return "\n".join(["", *ruled, *lines, ""])


def main() -> int:
    names = sys.argv[1:]
    if unknown := set(names) - {animal.id for _, animal in everyone()}:
        print(f"zoo: no client is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    lines = rows(PAGE.read_text())
    wrong = False
    try:
        for played in play(names):
            lines[played.animal.id] = row(played)
            wrong |= not played.right
            print("ok   " if played.right else "WRONG", played.animal.id, file=sys.stderr)
    except go_program.Unavailable as error:
        print(f"zoo: no page is written: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(filled(PAGE.read_text(), tables(lines)))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
