"""Scenarios that were played, as a page: the verdict, both legs side by side, and the lesson."""

from collections.abc import Sequence
from typing import NamedTuple

from mitm.events import Event, LegEnded, LegLeftOut, LegStarted
from mitm.html.page import page
from mitm.html.sequence import Diagram, diagram
from mitm.lab.picture import Picture, picture
from mitm.lab.play import Played


class Scene(NamedTuple):
    """A scenario that was played.

    Attributes:
        outcome: what came of it.
        events: of all its legs, in their order.
        lesson: as Markdown.
    """

    outcome: Played
    events: Sequence[Event]
    lesson: str


class LeftOut(NamedTuple):
    """A scenario that was not played, and why."""

    scenario: str
    reason: str


class _Shown(NamedTuple):
    """What a page shows of a scenario."""

    picture: Picture
    diagrams: list[Diagram]
    lesson: str


def run_page(
    scenes: Sequence[Scene], left_out: Sequence[LeftOut], again: Sequence[str] = ()
) -> str:
    """The page of scenarios.

    Args:
        scenes: that were played.
        left_out: those that were not.
        again: the command that plays them again, in words of a shell; () if it is not known.
    """
    missed = [each for each in scenes if not any(leg.result for leg in each.outcome.legs)]
    shown = [
        _Shown(picture(scene.outcome), _diagrams(scene), scene.lesson)
        for scene in scenes
        if scene not in missed
    ]
    return page(
        "run.html",
        "report.css",
        "run.css",
        scenes=shown,
        left_out=[
            *left_out,
            *(LeftOut(e.outcome.script.scenario, e.outcome.legs[0].left_out) for e in missed),
        ],
        matched=sum(each.picture.as_scripted for each in shown),
        again=again,
    )


def _diagrams(scene: Scene) -> list[Diagram]:
    script = scene.outcome.script
    attackers = [member.name for member in script.cast if member.program == "interceptor"]
    legs = _by_leg(scene.events)
    return [
        diagram(leg, attackers, legs.get(number, []))
        for number, leg in enumerate(scene.outcome.legs)
    ]


def _by_leg(events: Sequence[Event]) -> dict[int, list[Event]]:
    """The events between the beginning of each leg and its end."""
    legs: dict[int, list[Event]] = {}
    current: list[Event] | None = None
    for event in events:
        if isinstance(event, LegStarted):
            current = legs.setdefault(event.number, [])
        elif isinstance(event, LegEnded | LegLeftOut):
            current = None
        elif current is not None:
            current.append(event)
    return legs
