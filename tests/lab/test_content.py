"""Scenarios, clients and server as the lab finds them; mistakes are named where they stand."""

from pathlib import Path

import pytest

from mitm import content
from mitm.errors import UserError
from mitm.lab import clients, load_client, load_scenario, scenarios
from tests.programs import client_folder


@pytest.mark.parametrize("name", scenarios())
def test_every_scenario_has_its_lesson(name: str) -> None:
    scenario = load_scenario(name)
    for heading in ("## What happens", "## Why", "## How to fix it"):
        assert heading in scenario.lesson
    assert scenario.fix
    assert scenario.point.endswith(".")


def test_the_scenarios_have_an_order_of_their_own() -> None:
    orders = [load_scenario(name).order for name in scenarios()]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("name", clients())
def test_every_client_knows_every_policy_that_a_scenario_plays(name: str) -> None:
    client = load_client(name)
    for scenario in map(load_scenario, scenarios()):
        client.must_know(scenario.policy)


def test_a_client_without_a_readme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"README\.md: cannot be read"):
        load_client(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("policies: [insecure]", "", "missing required field `policies`"),
        ("policies: [insecure]", "policies: insecure", "policies: Expected `array`, got `str`"),
        ("title:", "name:", "unknown field `name`"),
    ],
)
def test_a_mistake_in_a_clients_readme_names_file_key_and_reason(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = client_folder(tmp_path / "mine", "")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace(old, new))
    with pytest.raises(UserError) as error:
        load_client(str(folder))
    assert str(readme) in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("word", ["{taget}", "{target}", "--ca={ca}", "{pyton}"])
def test_a_placeholder_that_is_none_is_named(tmp_path: Path, word: str) -> None:
    folder = client_folder(tmp_path / "mine", "")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace('client.py"]', f'client.py", "{word}"]'))
    with pytest.raises(UserError) as error:
        load_client(str(folder))
    assert str(readme) in str(error.value)
    assert f"unknown placeholder {word.removeprefix('--ca=')}; known: " in str(error.value)


def test_other_braces_in_a_command_are_left_alone(tmp_path: Path) -> None:
    folder = client_folder(tmp_path / "mine", "")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace('client.py"]', 'client.py", \'{"a": {}}\']'))
    assert load_client(str(folder)).command[2] == '{"a": {}}'


def test_a_client_of_ones_own_is_started_by_its_folder(tmp_path: Path) -> None:
    folder = client_folder(tmp_path / "mine", "")
    client = load_client(str(folder))
    assert client.name == "mine"
    assert client.command[1] == str(folder / "client.py")


def test_the_content_is_where_it_is_looked_for() -> None:
    for path in (content.CERTS, content.CLIENTS, content.PROTO, content.SCENARIOS, content.SERVER):
        assert path.exists()
