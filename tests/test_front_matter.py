"""Content files as people write them, and what they are told of a mistake."""

from pathlib import Path

import msgspec
import pytest

from mitm import content, front_matter
from mitm.errors import UserError


class _Person(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    age: int = 0
    friends: list["_Person"] = []


def _load(folder: Path, text: str) -> tuple[_Person, str]:
    path = folder / "person.md"
    path.write_bytes(text.encode())
    return front_matter.load(path, _Person)


def _refusal(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as refusal:
        _load(folder, text)
    said = str(refusal.value)
    assert said.startswith(f"{folder / 'person.md'}: ")
    assert "\n" not in said
    return said.removeprefix(f"{folder / 'person.md'}: ")


@pytest.mark.parametrize(
    "text",
    [
        "---\nname: Ada\nage: 36\n---\n\n# Lesson\n\nText.\n",
        "---\r\nname: Ada\r\nage: 36\r\n---\r\n\r\n# Lesson\r\n\r\nText.\r\n",
        "\ufeff---\nname: Ada\nage: 36\n---\n# Lesson\n\nText.",
        "--- \nname: Ada\nage: 36\n---  \n# Lesson\n\nText.\n\n\n",
    ],
    ids=["plain", "Windows line ends", "byte order mark", "blanks at line ends"],
)
def test_front_matter_and_body_are_told_apart(text: str, tmp_path: Path) -> None:
    person, body = _load(tmp_path, text)
    assert person == _Person("Ada", 36)
    assert body == "# Lesson\n\nText.\n"


def test_a_body_may_be_missing_and_may_hold_rules_of_its_own(tmp_path: Path) -> None:
    assert _load(tmp_path, "---\nname: Ada\n---")[1] == "\n"
    assert _load(tmp_path, "---\nname: Ada\n---\nabove\n\n---\n\nbelow\n")[1] == (
        "above\n\n---\n\nbelow\n"
    )


def test_text_in_any_language_is_read(tmp_path: Path) -> None:
    assert _load(tmp_path, "---\nname: Jörg 名前\n---\n")[0].name == "Jörg 名前"


@pytest.mark.parametrize(
    "text", ["", "# Lesson\n", "---\nname: Ada\n", "\n---\nname: Ada\n---\n", "---\n", "name: Ada"]
)
def test_a_file_without_front_matter_is_told_what_is_missing(text: str, tmp_path: Path) -> None:
    assert _refusal(tmp_path, text) == "front matter must begin and end with a line of '---'"


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("name: 5", "name: Expected `str`, got `int`"),
        ("name: Ada\nage: old", "age: Expected `int`, got `str`"),
        ("age: 5", "front matter: Object missing required field `name`"),
        ("name: Ada\nnmae: Ada", "front matter: Object contains unknown field `nmae`"),
        (
            "name: Ada\nfriends: [{name: Bob}, {name: Eve, age: x}]",
            "friends[1].age: Expected `int`, got `str`",
        ),
        ("- a list", "front matter: Expected `object`, got `array`"),
        ("", "front matter: Expected `object`, got `null`"),
        ("name: 2024-01-31", "name: Expected `str`, got `date`"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_key(
    front: str, reason: str, tmp_path: Path
) -> None:
    assert _refusal(tmp_path, f"---\n{front}\n---\n") == reason


@pytest.mark.parametrize(
    ("front", "line"),
    [("name: Ada\nage: [1, 2", 3), ("name: 'Ada", 2), ("name: Ada\n\tage: 3", 3), ("a: b: c", 2)],
)
def test_a_mistake_in_yaml_is_named_by_the_files_own_line(
    front: str, line: int, tmp_path: Path
) -> None:
    assert _refusal(tmp_path, f"---\n{front}\n---\n").startswith(f"line {line}: not YAML: ")


@pytest.mark.parametrize(
    "front",
    [
        "name: 2024-02-30",  # no such day
        "name: \x00",
        "name: " + 1500 * "[" + 1500 * "]",
        "name: !!python/object/apply:os.system [ls]",
        "name: *nobody",
        "? {a: b}\n: c",
    ],
)
def test_strange_yaml_is_refused_and_not_obeyed(front: str, tmp_path: Path) -> None:
    assert "YAML" in _refusal(tmp_path, f"---\n{front}\n---\n")


def test_a_value_that_contains_itself_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path, "---\n&me\nname: Ada\nfriends: [*me]\n---\n")


def test_a_value_used_twice_by_reference_is_fine(tmp_path: Path) -> None:
    person, _ = _load(tmp_path, "---\nname: &n Ada\nfriends: [{name: *n}]\n---\n")
    assert person.friends == [_Person("Ada")]


def test_a_file_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "nobody.md"
    with pytest.raises(UserError) as refusal:
        front_matter.load(path, _Person)
    assert str(refusal.value) == f"{path}: cannot be read: No such file or directory"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "person.md"
    path.write_bytes(b"---\nname: \xff\n---\n")
    with pytest.raises(UserError, match="not UTF-8"):
        front_matter.load(path, _Person)


def test_a_piece_of_front_matter_is_named_by_the_key_it_stands_under() -> None:
    path = Path("x.md")
    assert front_matter.convert(path, {"name": "Ada"}, _Person, "chain[0]") == _Person("Ada")
    with pytest.raises(UserError, match=r"^x\.md: chain\[0\]\.age: Expected `int`"):
        front_matter.convert(path, {"name": "Ada", "age": "x"}, _Person, "chain[0]")
    with pytest.raises(UserError, match=r"^x\.md: chain\[0\]: Object missing"):
        front_matter.convert(path, {}, _Person, "chain[0]")


_BODY = """Before.

## What happens

First.

### In detail

More.

## How to fix it

Do this.
"""


def test_a_section_reaches_to_the_next_heading_of_its_kind() -> None:
    assert front_matter.section(_BODY, "What happens") == "First.\n\n### In detail\n\nMore."
    assert front_matter.section(_BODY, "how to FIX it") == "Do this."
    assert front_matter.section(_BODY, "What") == ""


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in (content.SCENARIOS, content.CERTS)
        for path in content.markdown_files(folder).values()
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_every_file_that_comes_with_the_project_can_be_read(path: Path) -> None:
    fields, body = front_matter.load(path, dict[str, object])
    assert fields["title"]
    assert body.strip()
