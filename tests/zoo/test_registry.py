"""What holds of every animal of the zoo, whatever language it is written in."""

import re

import pytest

from mitm.audit import catalogue
from mitm.audit.attack import Attack
from tests.zoo.animals import ZOO, Animal, animals
from tests.zoo.flaws import FLAWS

ANIMALS = animals("python") | animals("go")

REJECTED = {entry.name: entry for entry in catalogue() if entry.expect == "reject"}
ATTACKS = [name for name, entry in REJECTED.items() if isinstance(entry, Attack)]

each = pytest.mark.parametrize("animal", ANIMALS.values(), ids=ANIMALS)

# What a case can be: something that others can look up.
A_CASE = re.compile(
    r"(CVE-\d{4}-\d{4,}|RUSTSEC-\d{4}-\d{4}|PEP \d+|RFC \d+)\b"
    r"|[\w.-]+/[\w.-]+( issue \d+| pull request \d+|, )|\b(documentation|guide|example) of"
)

MOST_LINES = 40


def test_names_tell_them_apart() -> None:
    assert len(ANIMALS) == len(animals("python")) + len(animals("go"))


@each
def test_each_names_its_case_and_is_short(animal: Animal) -> None:
    assert A_CASE.search(animal.case), f"{animal.path}: case: what others can look up"
    assert "://" not in animal.text.partition("\n---\n")[2].partition("\n---\n")[0]
    assert len(animal.code) <= MOST_LINES, f"{animal.path}: at most {MOST_LINES} lines of code"


@each
def test_a_flawed_one_can_be_mended_and_a_sound_one_has_nothing_to_mend(animal: Animal) -> None:
    assert ("MENDED" in animal.text) == bool(animal.flaw), animal.path


@each
def test_what_has_to_be_a_program_says_why(animal: Animal) -> None:
    assert (animal.run == "program") == bool(animal.why), animal.path


def test_what_must_catch_a_flaw_exists_and_each_flaw_has_an_animal() -> None:
    known = {entry.name for entry in catalogue()}
    for name, flaw in FLAWS.items():
        assert {*flaw.caught_by, *flaw.rejects} <= known, name
        assert not {*flaw.caught_by} & {*flaw.rejects}, name
    assert {flaw for animal in ANIMALS.values() for flaw in animal.flaw} == FLAWS.keys()


# Of what binds nobody, or is not played here, with the reason.
WITHOUT_AN_ANIMAL = {"ca-unreadable": "root reads every file, and tests may be run by root"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_an_attack_some_animal_would_not_be_caught(attack: str) -> None:
    """That each of these catches it by itself is what the tests of the animals hold."""
    caught = [animal.id for animal in ANIMALS.values() if attack in animal.caught_by]
    assert bool(caught) != (attack in WITHOUT_AN_ANIMAL), f"keep an animal that {attack} catches"


@pytest.mark.parametrize("family", sorted({recipe.family for recipe in REJECTED.values()}))
def test_without_a_family_some_animal_would_not_be_caught(family: str) -> None:
    alone = [
        animal.id
        for animal in ANIMALS.values()
        if animal.flaw and {REJECTED[name].family for name in animal.caught_by} == {family}
    ]
    assert alone, f"keep an animal whose flaw nothing but a certificate or attack of {family} shows"


def test_everything_in_the_folders_is_an_animal_or_helps_one() -> None:
    found = {path for path in ZOO.glob("*/*") if path.suffix in (".py", ".go")}
    others = found - {animal.path for animal in ANIMALS.values()}
    assert {path.stem for path in others} <= {"rpc", "chains"}
