"""What a page is told of an event: to whom it goes, and nothing that anybody obeys."""

import json
from collections.abc import Iterator

import pytest

from mitm import events
from mitm.capture.wording import Mood
from mitm.events import Event
from mitm.room.feed import Feed
from mitm.room.shown import Where, encoded, shown
from mitm.room.stage import StageView
from tests.capture.samples import SAMPLES

HERE = Where("stage", 1, ("client", "attacker", "server"), 1)
AT_THE_END = Where("own", 0, ("client", "attacker"), 1)
BEHIND = Where("stage", 1, ("client", "ingress", "attacker", "server"), 2)

CONTROL = "\x1b[2J\u202e\n\x00"


def headers(direction: events.Direction, *more: tuple[str, str]) -> events.Headers:
    return events.Headers(
        time=1.0,
        connection=1,
        direction=direction,
        stream=1,
        kind="request" if direction == "client" else "response",
        method="/a.B/C",
        headers=((":path", "/a.B/C"), *more),
    )


def closed(by: events.Party) -> events.Closed:
    return events.Closed(time=1.0, connection=1, by=by, how="eof", phase="established")


@pytest.mark.parametrize(
    ("event", "here", "at_the_end", "behind"),
    [
        (events.Connected(time=1.0, connection=1, client="127.0.0.1:1"), (0, 1), (0, 1), (1, 2)),
        (headers("client"), (0, 2), (0, 1), (1, 3)),
        (headers("server"), (2, 0), (1, 0), (3, 1)),
        (closed("client"), (0, 1), (0, 1), (1, 2)),
        (closed("server"), (2, 1), (1, 0), (3, 2)),
        (closed("attacker"), (1, 0), (1, 0), (2, 1)),
    ],
)
def test_it_goes_from_whom_it_comes_to_whom_it_reaches(
    event: Event, here: tuple[int, int], at_the_end: tuple[int, int], behind: tuple[int, int]
) -> None:
    for where, way in ((HERE, here), (AT_THE_END, at_the_end), (BEHIND, behind)):
        record = shown(event, where)
        assert record
        assert record.way == way


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_becomes_a_record_or_none(event: Event) -> None:
    record = shown(event, HERE)
    if record:
        assert json.loads(encoded(record))["kind"] == event.__struct_config__.tag


@pytest.mark.parametrize(
    "event",
    [
        headers("client", ("x-note", CONTROL)),
        events.Message(
            time=1.0, direction="client", stream=1, method="/a.B/C", type="", size=1,
            value={"a": CONTROL},
        ),
        events.CertificatePresented(
            time=1.0, certificate=CONTROL, subjects=(CONTROL,), issuer=CONTROL, sha256="",
            names=(CONTROL,),
        ),
        events.ServerCertificate(
            time=1.0, member=CONTROL, certificate=CONTROL, subjects=(CONTROL,), issuer=CONTROL,
            sha256="", names=(CONTROL,),
        ),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_what_somebody_would_obey_is_spelled_out(event: Event) -> None:
    record = shown(event, HERE)
    assert record
    texts = list(_texts(json.loads(encoded(record))))
    assert any("2J" in text for text in texts)
    assert all(text.isprintable() for text in texts)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            yield from _texts(list(value.values()))


def test_a_secret_is_masked_and_the_labs_own_is_not() -> None:
    secret = shown(headers("client", ("authorization", "Bearer swordfish-swordfish")), HERE)
    lab = shown(headers("client", ("authorization", "Bearer opens-nothing-0123abcd")), HERE)
    assert secret
    assert lab
    assert b"swordfish-swordfish" not in encoded(secret)
    assert b"opens-nothing-0123abcd" in encoded(lab)
    moods: list[Mood] = [line.mood for record in (secret, lab) for line in record.reads[-1:]]
    assert moods == ["harm", "harm"]


def test_of_a_request_the_attacker_is_told_what_is_worth_having() -> None:
    record = shown(
        headers(
            "client", ("user-agent", "x/1"), ("authorization", "Bearer opens-nothing-0123abcd")
        ),
        HERE,
    )
    assert record
    assert [line.text.strip() for line in record.reads] == [
        "calls /a.B/C",
        "authorization: Bearer opens-nothing-0123abcd",
    ]
    assert any("user-agent" in line.text for line in record.lines)


def test_what_a_server_answers_is_read_when_it_is_a_message() -> None:
    record = shown(headers("server"), HERE)
    assert record
    assert record.reads == ()


def test_a_leg_that_is_left_out_first_is_told_as_such() -> None:
    feed = Feed()
    view = StageView(feed)
    samples = {type(event): event for event in SAMPLES}
    view(samples[events.ScenarioStarted])
    view(events.LegLeftOut(time=1.0, scenario="skip-verify", number=0, reason="no such policy"))
    record = json.loads(feed.after(0)[-1][1])
    assert record["kind"] == "leg-over"
    assert record["picture"]["verdict"] is None
    assert record["picture"]["reason"] == "no such policy"
