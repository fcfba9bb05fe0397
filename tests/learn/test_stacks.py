"""The stacks of the exercises: what stands in them twice is the same."""

import re

from mitm import content
from mitm.learn.stack import stacks

GO = content.STACKS / "go"
CLIENT = content.CLIENTS / "go"


def test_the_module_of_the_exercises_has_the_versions_that_the_client_was_built_with() -> None:
    """Or they would not be there without a network."""
    required = re.compile(r"^\t(\S+ v\S+)", re.MULTILINE)
    there = {*required.findall((CLIENT / "go.mod").read_text())}
    asked = {*required.findall((GO / "go.mod").read_text())}
    assert asked
    assert asked <= there
    assert (GO / "go.sum").read_text() == (CLIENT / "go.sum").read_text()


def test_what_go_tests_are_given_is_what_everybody_copies() -> None:
    given = content.EXERCISES / "10-no-test" / "go" / "mitm" / "mitm.go"
    assert given.read_text() == content.session_files()["session/go"].read_text()


# Built of packages of the system: tests/learn/test_stick.py tries that without a network.
FETCH_NOTHING = {"cpp"}


def test_what_a_stack_is_built_of_can_be_gathered() -> None:
    for stack in stacks().values():
        fetches = bool(stack.client) and stack.name not in FETCH_NOTHING
        assert bool(stack.gather) == fetches, stack.name
