"""From whom to whom an event goes, wherever the attacker stands."""

import msgspec
import pytest

from mitm import events
from mitm.capture.way import way
from mitm.events import Event
from tests.capture.samples import SAMPLES


def alert(by: events.Party) -> Event:
    return events.Alert(time=1.0, connection=1, by=by, name="unknown_ca", number=48)


def closed(by: events.Party) -> Event:
    return events.Closed(time=1.0, connection=1, by=by, how="eof", phase="established")


def rewritten(direction: events.Direction) -> Event:
    return events.Rewritten(
        time=1.0,
        connection=1,
        direction=direction,
        stream=1,
        method="",
        part="message",
        type="",
        before={},
        after={},
    )


def message(direction: events.Direction) -> Event:
    return msgspec.structs.replace(sample(events.Message), direction=direction)


def sample(kind: type[Event]) -> Event:
    return next(event for event in SAMPLES if isinstance(event, kind))


# With a server behind the attacker, and with nobody.
@pytest.mark.parametrize(
    ("event", "between", "alone"),
    [
        (closed("client"), (0, 1), (0, 1)),
        (closed("attacker"), (1, 0), (1, 0)),
        (closed("server"), (2, 1), (1, 0)),
        (alert("client"), (0, 1), (0, 1)),
        (alert("attacker"), (1, 0), (1, 0)),
        (rewritten("client"), (1, 2), (1, 1)),
        (rewritten("server"), (1, 0), (1, 0)),
        (events.UpstreamConnected(time=1.0, connection=1, address="a", local="b"), (1, 2), (1, 1)),
        (sample(events.UpstreamFailed), (1, 2), (1, 1)),
        (sample(events.ClientCertificateRefused), (2, 1), (1, 0)),
        (sample(events.ClientCertificate), (0, 1), (0, 1)),
        (sample(events.CertificatePresented), (1, 0), (1, 0)),
        (message("client"), (0, 2), (0, 1)),
        (message("server"), (2, 0), (1, 0)),
        (events.Interrupted(time=1.0, connection=1, how="reset"), (1, 0), (1, 0)),
        (events.Plaintext(time=1.0, connection=1, protocol="HTTP/2"), (0, 1), (0, 1)),
        (
            events.ParseFailed(time=1.0, connection=1, direction="client", stream=0, reason="x"),
            None,
            None,
        ),
        (sample(events.NotRewritten), None, None),
    ],
)
def test_it_goes_from_one_to_the_other(
    event: Event, between: tuple[int, int] | None, alone: tuple[int, int] | None
) -> None:
    assert way(event, 1, 2) == between
    assert way(event, 1, 1) == alone
    # Whoever dials the attacker may be an ingress.
    assert way(event, 2, 3) == (between and tuple(place + 1 for place in between))


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize(("attacker", "last"), [(0, 0), (0, 1), (1, 1), (1, 2), (2, 3)])
def test_all_are_in_the_path(event: Event, attacker: int, last: int) -> None:
    places = way(event, attacker, last) or (0, 0)
    assert all(0 <= place <= last for place in places)
