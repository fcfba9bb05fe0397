"""Writes the JSON Schema of the lines of `--events`: python docs/events_schema.py [FILE]"""

import argparse
import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from mitm.events import AnyEvent, Event, Member, ScriptedLeg

_ATTRIBUTE = re.compile(r"^    (\w+): ", re.MULTILINE)


def schema() -> dict[str, Any]:
    """The schema of a line, described as the events describe themselves."""
    (root,), kinds = msgspec.json.schema_components(
        [AnyEvent], ref_template="#/$defs/{name}", schema_hook=_anything
    )
    _, common = _described(Event)
    for kind in (*AnyEvent.__args__, Member, ScriptedLeg):
        summary, attributes = _described(kind)
        name = kind.__struct_config__.tag
        kinds[kind.__name__]["description"] = summary
        for field, about in kinds[kind.__name__]["properties"].items():
            if field == "event":
                about["description"] = f"`{name}`."
            else:
                about["description"] = (common | attributes)[field]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of an event file of mitm-demo",
        "description": (
            "One JSON object a line, told apart by its `event`. What is at its default is left "
            "out. Later versions may add events and properties: pass over what you do not know."
        ),
        **root,
        "$defs": kinds,
    }


def _anything(kind: type) -> dict[str, Any]:
    """For what comes out of messages, whose types are other people's."""
    assert kind is object
    return {"description": "Any JSON."}


def _described(kind: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """What a docstring says of a kind of event, or a part of one, and of each attribute."""
    # In JSON it goes by another name.
    text = (inspect.getdoc(kind) or "").replace("None", "null")
    summary, _, attributes = text.partition("\n\nAttributes:\n")
    _, *pairs = _ATTRIBUTE.split(attributes)
    texts = (" ".join(text.split()) for text in pairs[1::2])
    return " ".join(summary.split()), dict(zip(pairs[::2], texts, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).with_name("events.schema.json")
    parser.add_argument("file", nargs="?", type=Path, default=default)
    path: Path = parser.parse_args().file
    path.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
