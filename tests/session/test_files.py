"""The files of session/: short, complete in themselves, and told of in its README."""

import pytest

from mitm import content
from tests.session.stacks import HERE

FILES = content.session_files()


def test_there_is_one_for_each_stack() -> None:
    stacks = {path.name for path in content.SESSION.iterdir() if path.is_dir()}
    assert {f"session/{stack}" for stack in stacks} == {*FILES}
    assert {path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")} == {
        *stacks,
        "files",
    }


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_before_it_is_copied(name: str) -> None:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100
    # Whoever comes upon it in a repository is told how it is run.
    assert any("mitm-demo audit --session" in line for line in lines[:25])
    page = (content.SESSION / "README.md").read_text(encoding="utf-8")
    assert f"mitm-demo show {name} >" in page
