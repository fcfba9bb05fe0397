"""The JSON Schema of event files says what is in them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from mitm.capture import JsonLines
from tests.capture.samples import SAMPLES
from tests.programs import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "events.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_it_is_as_the_script_writes_it(tmp_path: Path) -> None:
    fresh = tmp_path / "events.schema.json"
    result = run(sys.executable, DOCS / "events_schema.py", fresh)
    assert result.code == 0, result.err
    assert fresh.read_text() == (DOCS / "events.schema.json").read_text(), (
        "write it anew: python docs/events_schema.py"
    )


def test_every_event_and_every_property_is_described() -> None:
    for name, kind in SCHEMA["$defs"].items():
        assert kind["description"].endswith("."), name
        for field, about in kind["properties"].items():
            assert about["description"].endswith("."), f"{name}.{field}"


def test_what_is_written_fits_it_and_is_all_in_it(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "events.jsonl")
    for event in SAMPLES:
        log(event)
    log.close()
    mapping = SCHEMA["discriminator"]["mapping"]
    for line in (tmp_path / "events.jsonl").read_text().splitlines():
        written = json.loads(line)
        VALIDATOR.validate(written)
        kind = SCHEMA["$defs"][mapping[written["event"]].rpartition("/")[2]]
        assert written.keys() <= kind["properties"].keys()


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"event": "made-up", "time": 0},
        {"event": "alert", "time": 0},
        {"event": "alert", "time": "noon", "by": "client", "name": "x", "number": 1},
        {"event": "alert", "time": 0, "by": "nobody", "name": "x", "number": 1},
        {"event": "headers", "time": 0, "direction": "client", "stream": 1, "kind": "request",
         "method": "/a.B/C", "headers": [["only a name"]]},
    ],
)  # fmt: skip
def test_what_is_no_event_does_not_fit_it(line: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(line)
