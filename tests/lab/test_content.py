"""Scenarios, clients and server as the lab finds them; mistakes are named where they stand."""

from pathlib import Path

import pytest

from mitm import content
from mitm.errors import UserError
from mitm.lab.clients import clients, load_client
from mitm.lab.scenario import load_scenario, scenarios
from tests.programs import client_folder


@pytest.mark.parametrize("name", scenarios())
def test_every_scenario_has_its_lesson(name: str) -> None:
    scenario = load_scenario(name)
    for heading in ("## What happens", "## Why", "## How to fix it"):
        assert heading in scenario.lesson, f"scenarios/{name}.md: write the section {heading!r}"
    assert scenario.fix, f"scenarios/{name}.md: say in one line what to change, as `fix`"
    assert scenario.how_to_fix, (
        f"scenarios/{name}.md: say something in the section '## How to fix it'"
    )
    assert scenario.point.endswith("."), f"scenarios/{name}.md: end the point with a full stop"


def test_the_scenarios_have_an_order_of_their_own() -> None:
    by_order: dict[int, str] = {}
    for name in scenarios():
        order = load_scenario(name).order
        other = by_order.setdefault(order, name)
        assert other == name, f"scenarios/{name}.md: the order {order} is that of {other} already"


@pytest.mark.parametrize("name", clients())
def test_every_client_can_play_a_scenario(name: str) -> None:
    known = load_client(name).policies
    played = {policy for each in scenarios() for policy in load_scenario(each).policies}
    assert played & {*known}, f"client/{name}/README.md: none of {known} is played in a scenario"


def test_the_client_in_python_plays_every_scenario() -> None:
    client = load_client("python")
    for scenario in map(load_scenario, scenarios()):
        for policy in scenario.policies:
            client.must_know(policy)


def test_a_client_without_a_readme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"README\.md: cannot be read"):
        load_client(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("policies: [insecure]", "", "missing required field `policies`"),
        ("policies: [insecure]", "policies: insecure", "policies: Expected `array`, got `str`"),
        ("policies: [insecure]", "policies: [pined]", "policies[0]: Invalid enum value 'pined'"),
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
