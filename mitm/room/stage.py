"""A scenario as it is played, told to a page: from its events alone, leg by leg."""

import msgspec

from mitm.capture.wording import issuance, one_line, renewal
from mitm.events import (
    Event,
    Issued,
    LegEnded,
    LegLeftOut,
    LegStarted,
    Member,
    Renewed,
    ScenarioStarted,
)
from mitm.evidence import Observer
from mitm.lab.picture import LegPicture, Picture, leg_picture
from mitm.lab.play import Played
from mitm.room.feed import Feed
from mitm.room.shown import Told, Where, encoded, shown

_ATTACKER = "interceptor"


class Begun(msgspec.Struct, frozen=True, tag_field="kind", tag="begun", kw_only=True):
    """A scenario is chosen, and waits for its turn, or is being played."""

    part: str = "stage"
    scenario: str
    title: str
    client: str


class Waiting(msgspec.Struct, frozen=True, tag_field="kind", tag="waiting", kw_only=True):
    """It waits for its turn.

    Attributes:
        before: how many come before.
    """

    part: str = "stage"
    before: int


class Script(msgspec.Struct, frozen=True, tag_field="kind", tag="script", kw_only=True):
    """Its cast, and the legs that come."""

    part: str = "stage"
    at: float
    title: str
    client: str
    cast: tuple[Member, ...]
    paths: tuple[tuple[str, ...], ...]


class LegBegun(msgspec.Struct, frozen=True, tag_field="kind", tag="leg", kw_only=True):
    """A leg begins.

    Attributes:
        attacker: place of the attacker in the path; None if there is none.
    """

    part: str = "stage"
    at: float
    leg: int
    path: tuple[str, ...]
    attacker: int | None
    believes: tuple[Told, ...]


class Between(msgspec.Struct, frozen=True, tag_field="kind", tag="between", kw_only=True):
    """Something that happens between two legs."""

    part: str = "stage"
    at: float
    lines: tuple[Told, ...]


class LegOver(msgspec.Struct, frozen=True, tag_field="kind", tag="leg-over", kw_only=True):
    """A leg is over."""

    part: str = "stage"
    at: float
    leg: int
    picture: LegPicture


class Over(msgspec.Struct, frozen=True, tag_field="kind", tag="over", kw_only=True):
    """All of it is over.

    Attributes:
        captures: files of what was recorded.
        lost: what of that could not be written.
    """

    part: str = "stage"
    picture: Picture
    captures: tuple[str, ...]
    lost: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag_field="kind", tag="failed", kw_only=True):
    """It could not be played, or not to its end."""

    part: str = "stage"
    reason: str


class Cleared(msgspec.Struct, frozen=True, tag_field="kind", tag="cleared", kw_only=True):
    """The stage is empty."""

    part: str = "stage"


class StageView:
    """Is given the events of a scenario, and tells the pages of a seat.

    Args:
        feed: of the seat.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._script: ScenarioStarted | None = None
        self._attackers: set[str] = set()
        self._where = Where("stage", 0, (), None)
        self._ends: dict[int, LegEnded | LegLeftOut] = {}
        self._observers: dict[int, Observer] = {}

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        record: object = None
        match event:
            case ScenarioStarted():
                record = self._begin(event)
            case LegStarted():
                record = self._leg(event)
            case LegEnded() | LegLeftOut():
                self._ends[event.number] = event
                record = self._over(event)
            case Issued() | Renewed():
                record = Between(at=event.time, lines=(_between(event),))
            case _:
                if observer := self._observers.get(self._where.leg):
                    observer(event)
                record = shown(event, self._where)
        if record is not None:
            self._feed.append("stage", encoded(record))

    def _begin(self, event: ScenarioStarted) -> Script:
        self._script = event
        self._attackers = {m.name for m in event.cast if m.program == _ATTACKER}
        return Script(
            at=event.time,
            title=one_line(event.title),
            client=one_line(event.client_title),
            cast=tuple(Member(*map(one_line, (m.name, m.program, m.told))) for m in event.cast),
            paths=tuple(tuple(map(one_line, leg.path)) for leg in event.legs),
        )

    def _leg(self, event: LegStarted) -> LegBegun:
        at = next((n for n, name in enumerate(event.path) if name in self._attackers), None)
        self._where = Where("stage", event.number, event.path, at)
        self._observers[event.number] = Observer()
        return LegBegun(
            at=event.time,
            leg=event.number,
            path=tuple(map(one_line, event.path)),
            attacker=at,
            believes=(Told("", f"that its server is at {one_line(event.target)}"),),
        )

    def _over(self, event: LegEnded | LegLeftOut) -> LegOver:
        assert self._script
        played = Played.recorded(self._script, self._ends, self._observers)
        return LegOver(at=event.time, leg=event.number, picture=leg_picture(played, event.number))


def _between(event: Issued | Renewed) -> Told:
    if isinstance(event, Issued):
        return Told(one_line(event.authority), one_line(issuance(event)))
    return Told(one_line(event.server), one_line(renewal(event)))
