"""What happened in a leg, as a sequence diagram: who told whom what, in its order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mitm.capture.way import way
from mitm.capture.wording import Line, Mood, describe
from mitm.events import (
    ApplicationData,
    Connected,
    Event,
    Frame,
    Headers,
    PartialFrame,
    ServerCertificate,
    Tunnelled,
)
from mitm.lab.play import PlayedLeg
from mitm.messages.status import status_name

# Beyond these, steps are counted: a client that tries again and again has thousands.
_STEPS = 80
_LINES = 12


class Step(NamedTuple):
    """One thing that somebody told somebody, or did.

    Attributes:
        start: who, by the place in the path, from 0.
        end: whom it reached; the same for what somebody did.
        text: what.
        more: what belongs to it, in lines.
        mood: what it means for the client.
        read_by: who has read it on its way, by the place in the path; None for nobody.
        connection: its number, where it is the first step of one; None otherwise.
    """

    start: int
    end: int
    text: str
    more: tuple[tuple[str, Mood], ...] = ()
    mood: Mood = ""
    read_by: int | None = None
    connection: int | None = None


class Diagram(NamedTuple):
    """A leg.

    Attributes:
        names: of those who stand in it, from the client on.
        steps: in their order.
        left_out: how many there were besides.
    """

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    left_out: int = 0


def diagram(leg: PlayedLeg, attackers: Sequence[str], events: Sequence[Event]) -> Diagram:
    """The diagram of a leg.

    Args:
        leg: that was played.
        attackers: names of those in the cast who intercept.
        events: of this leg, in their order.
    """
    path = leg.script.path
    attacker = next((place for place, name in enumerate(path) if name in attackers), None)
    steps: list[Step] = []
    if attacker is None:
        steps += _genuine(leg, events)
    else:
        if attacker > 1:
            # What it sends to somebody before the attacker nobody has seen.
            steps.append(_connects(leg))
        steps += _Seen(path, attacker)(events)
    return Diagram(path, tuple(steps[:_STEPS]), len(steps[_STEPS:]))


def _genuine(leg: PlayedLeg, events: Sequence[Event]) -> Iterator[Step]:
    """A leg with nobody in between, in which nobody listens: by what the server has recorded."""
    last = len(leg.script.path) - 1
    yield _connects(leg)
    for event in events:
        if isinstance(event, ServerCertificate):
            whose = f"{event.subjects[0]}, issued by {event.issuer}" if event.subjects else ""
            yield Step(1, 0, f"shows {event.certificate}: {whose}")
    if leg.result is None:
        return
    for call in leg.result.server_calls:
        yield Step(0, last, f"calls {call.method}", mood="strong")
        yield Step(last, 0, f"answers {status_name(call.status)}")
    if leg.result.verdict != "connected":
        yield Step(0, 0, leg.result.reason, mood="caution")


def _connects(leg: PlayedLeg) -> Step:
    return Step(0, 1, f"connects; its policy is {leg.script.policy}")


class _Seen:
    """Makes steps of what an interceptor has seen.

    Args:
        path: of the leg.
        attacker: the place of the interceptor in it.
    """

    def __init__(self, path: Sequence[str], attacker: int) -> None:
        self._attacker = attacker
        self._last = len(path) - 1

    def __call__(self, events: Sequence[Event]) -> Iterator[Step]:
        told: set[int] = set()
        # What HTTP holds is told by its calls; of other bytes it is told once that they came.
        spoken = {e.connection for e in events if isinstance(e, Frame | PartialFrame | Headers)}
        for event in events:
            if isinstance(event, Connected | Frame | PartialFrame | Tunnelled):
                continue
            if isinstance(event, ApplicationData):
                if event.connection in spoken:
                    continue
                spoken.add(event.connection)
            if not (lines := describe(event)):
                continue
            step = self._step(event, lines)
            number = getattr(event, "connection", None)
            if number is not None and number not in told:
                told.add(number)
                step = step._replace(connection=number)
            yield step

    def _step(self, event: Event, lines: Sequence[Line]) -> Step:
        first, *rest = lines
        # What is nobody's word to anybody, the attacker does.
        start, end = way(event, self._attacker, self._last) or (self._attacker, self._attacker)
        between = min(start, end) < self._attacker < max(start, end)
        harmed = any(line.mood == "harm" for line in lines)
        more = [(line.text.strip(), line.mood) for line in rest[:_LINES]]
        if len(rest) > _LINES:
            more.append((f"… and {len(rest) - _LINES} more", "quiet"))
        return Step(
            start,
            end,
            first.text,
            tuple(more),
            "harm" if harmed else first.mood,
            self._attacker if between else None,
        )
