"""docs/guide.md: every scenario in its order, with the output of a run that came out right."""

import re
from pathlib import Path

import pytest

from mitm.lab.scenario import load_scenario, scenarios

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "guide.md").read_text()
NAMES = sorted(scenarios(), key=lambda name: load_scenario(name).order)


def test_the_scenarios_stand_there_in_their_order() -> None:
    assert re.findall(r"^### \[([\w-]+)\]\(\.\./scenarios/\1\.md\)$", PAGE, re.MULTILINE) == NAMES
    commands = re.findall(r"^mitm-demo run ([\w-]+)$", PAGE, re.MULTILINE)
    assert sorted(commands) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_output_is_of_a_run_that_came_out_as_the_scenario_says(name: str) -> None:
    part = name.replace("-", "_")
    _, _, rest = PAGE.partition(f"<!-- {part} -->\n")
    output, end, _ = rest.partition("<!-- end -->")
    assert end, "it has no output: make guide"
    assert output.startswith(f"```text\n$ mitm-demo run {name}"), "write it anew: make guide"
    told = re.findall(r"^(control|attack) .* (\w+)$", output, re.MULTILINE)
    expected = [
        ("control" if leg.leg == "genuine" else "attack", leg.expected)
        for leg in load_scenario(name).script()
    ]
    played = [leg for leg in told if leg[1] != "played"]
    assert len(told) == len(expected), "write it anew: make guide"
    assert told == expected or (
        len(played) < len(told)
        and [*played]
        == [leg for leg, (_, verdict) in zip(expected, told, strict=True) if verdict != "played"]
    )
